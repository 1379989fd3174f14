"""Measure runs: from what a folder holds to a row of recomputed metrics, or why there is none."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
