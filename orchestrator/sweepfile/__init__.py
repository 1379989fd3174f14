"""The sweep file: read with line numbers, checked as a whole, expanded to configs.

A YAML file and ``--set`` texts go in; a `Spec` comes out, or all mistakes together. What trainers
declare is reached from here by their names.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
