"""Run attempts: as Ray Tune trials, or in the calling process."""
