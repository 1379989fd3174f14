"""Decide which trial gets which slot, from the first reading of free memory to the last.

In: the candidates of the queue and what attempts report. Out: a trial and its slot, or why none
starts; how a trial continues that ran out of memory.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
