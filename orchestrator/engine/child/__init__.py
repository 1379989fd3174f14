"""The process of one attempt, and how the driver starts, polls and ends it."""
