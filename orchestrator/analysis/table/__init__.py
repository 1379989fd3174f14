"""Compare runs: find, read, measure, rank and relate them, one step after the other.

In go paths; out comes a `Comparison` of ranked rows and incomplete runs, or what an audit found.
Printing is for the command line.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
