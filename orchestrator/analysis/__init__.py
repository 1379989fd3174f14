"""Metrics from predictions and targets, ranking, status."""
