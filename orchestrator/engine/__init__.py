"""Running trials: Ray Tune, the child process of each trial, foreign scripts."""
