"""What a reported series is, by its name, and statistics of its values as they arrive."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
