"""From run folders to one ranked table."""
