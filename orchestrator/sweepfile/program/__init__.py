"""A user's own program: its options, its arguments and the macros in its command.

Reading a sweep file gives a `Program`; for each trial, `Macros` and `arguments` turn it and a
config into the words that start it. Nothing here runs a program.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
