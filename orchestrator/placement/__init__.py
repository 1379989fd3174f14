"""Where the trials of a sweep run.

In: the devices and the host as they are now, the memory that one trial needs, and the user's
limits. Out: a plan of slots, or how much memory is missing. The subpackages read the hardware,
admit trials while a sweep runs, and measure how many at once are fastest.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
