"""The search space: the values that a parameter may take, in a grid, at random or by a sampler.

In go the blocks of a sweep file; out come domains, their values by share of probability, and the
records of Optuna's samplers and pruners.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
