"""Trainers for tests: they train nothing, and behave as they are told."""
