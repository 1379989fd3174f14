"""YAML text and ``--set`` texts in; one tree out in which every key and value knows its line.

`read_yaml` reads the files of other tools, leniently and without lines.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
