"""What a script's own parser takes: its options, read from its text or from its ``--help``."""
