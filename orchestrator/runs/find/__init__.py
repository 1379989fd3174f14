"""Find run folders in any tree: from paths to a `RunFolder` of each run, ours or another tool's."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
