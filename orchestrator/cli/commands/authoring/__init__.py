"""The commands that help to write a sweep file."""
