"""Learning curves from the logs of any tool, as reports that can be judged."""
