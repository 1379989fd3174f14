"""Running a program once, to see what a sweep of it could follow and vary.

In: a program and the arguments of one run. Out: a `Probe`, from which a sweep file is written.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
