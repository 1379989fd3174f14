"""Memory promised to trials, shared between the sweeps of a machine."""
