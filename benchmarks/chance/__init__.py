"""What the intervals and the marks of a table promise, by simulation."""
