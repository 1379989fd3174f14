"""Decide each start from the memory that is free at that moment.

In: what each waiting trial asks for and for how long, and the devices as they are now. Out: which
trial starts and its slot, or why none can.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
