"""What reports lead to: the judgment of an attempt, and what trials of a program show together."""
