"""Measure runs: from what a folder holds to a row of recomputed metrics, or why there is none."""
