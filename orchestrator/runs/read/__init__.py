"""Read what a run folder holds, ours or another tool's, each file once, unpickling nothing.

In goes a `RunFolder` or a path; out comes a `StoredRun`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
