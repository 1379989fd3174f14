"""Sweep folders and run directories: where every file is, and the records in them.

`read` finds and reads run folders in any tree, `curves` reads logs of any tool.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
