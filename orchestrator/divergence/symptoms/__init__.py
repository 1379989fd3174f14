"""Symptoms beside divergence: notes on a run that goes on. Each detector is small and streams."""
