"""Decide which trial gets which slot, from the first reading of free memory to the last."""
