"""Diagnose runs that are over: each by itself, and all runs of a sweep together."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
