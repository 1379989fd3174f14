"""Running trials: Ray Tune, the child process of each trial, foreign scripts."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
