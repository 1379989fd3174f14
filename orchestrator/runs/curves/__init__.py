"""Learning curves from the logs of any tool, as reports that can be judged."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
