"""Find by measurement how many trials at once get the most done.

In: the starts, reports and ends of trials. Out: how many may run at once on a device.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
