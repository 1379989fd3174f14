"""Metrics of any choice of samples, for intervals.

In: predictions and targets. Out: for each metric what it needs of every sample.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
