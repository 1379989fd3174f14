"""The status of a sweep and its trials, read from small files while it runs or afterwards."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
