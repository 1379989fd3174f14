"""The process of one attempt, and how the driver starts, hears and ends it."""
