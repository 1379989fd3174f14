"""A user's own program: where it is, its command and its arguments."""
