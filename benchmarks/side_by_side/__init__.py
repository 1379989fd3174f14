"""Sweeps next to what people would use instead: ``python -m benchmarks.side_by_side``.

Every tool runs the same trials, of `trial.py`: torch is imported, a few values are reported. A
trial writes itself when it starts, reports and ends, so that no tool is measured by its own
records. `peers.py` has the tools, `side_by_side/tools/` the program that each of them runs.
"""
