"""Formats of logs: one `READER` in each module, by which a file is recognised and read."""
