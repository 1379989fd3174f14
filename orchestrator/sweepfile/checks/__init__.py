"""Checks across the keys of a sweep file."""
