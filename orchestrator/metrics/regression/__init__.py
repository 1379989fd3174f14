"""Metrics of any predictions and targets of one shape: one `METRIC` in each module."""
