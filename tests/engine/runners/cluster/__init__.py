"""Tests of the agents on the nodes of a Ray cluster."""
