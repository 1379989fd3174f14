"""Run folders in the formats of other tools, each in a module that defines an ``EXPORTER``.

An export is complete and can be repeated at any time: a run that has not changed is not written
again, and one that has replaces what was written of it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
