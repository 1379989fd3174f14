"""Open a sweep folder, run its trials to the end, and close it."""
