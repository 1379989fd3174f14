"""The grammar of conditions, and the rules on configs written in it.

`parse` makes a small tree of a text and `evaluate` walks it; nothing of it is run as code.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
