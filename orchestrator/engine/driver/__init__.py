"""Open a sweep folder, run its trials to the end, and close it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
