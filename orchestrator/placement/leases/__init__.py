"""Publish memory that sweeps on one machine have promised, so that none counts another's.

In: what a slot may take and what its trial holds. Out: what other sweeps promised of a device.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
