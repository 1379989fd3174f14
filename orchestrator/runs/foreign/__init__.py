"""Run folders of other tools: who made one, where its arrays are, what its files say."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
