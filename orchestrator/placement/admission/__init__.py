"""Decide each start from the memory that is free at that moment."""
