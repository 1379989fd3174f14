"""The metrics that a script prints or writes, joined into reports."""
