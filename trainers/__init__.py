"""Training systems that sweeps run: one folder each, plain PyTorch, one contract (`base.py`)."""
