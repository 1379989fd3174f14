"""Run folders of other tools: which tool made one, where its arrays are, what its files hold."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
