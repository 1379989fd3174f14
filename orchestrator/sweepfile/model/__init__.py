"""The validated content of a sweep file, as plain values."""
