"""Remember what trials took and how many at once were best; recognise and answer out-of-memory.

In: peaks that were measured, and the messages of failures. Out: the need to plan with, or to try
next.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
