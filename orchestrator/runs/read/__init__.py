"""Find run folders, ours or another tool's, and read them, unpickling nothing.

In go paths; out come `StoredRun` objects.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
