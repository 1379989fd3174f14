"""Run folders made by other tools."""
