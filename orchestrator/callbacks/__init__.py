"""Reports from a training script to the sweep that runs it.

`report` is one call; the modules `lightning`, `transformers` and `keras` have a callback each for
that library, and load nothing else.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
