"""The live view of a sweep on a terminal, drawn with Rich."""
