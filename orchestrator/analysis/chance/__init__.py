"""Chance: which differences are more than the choice of samples or seeds explains.

In: ranked rows. Out: the rows with intervals, and which are tied with the best.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
