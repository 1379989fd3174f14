"""The validated content of a sweep file, as plain values.

`Spec` is the whole file, `Program` a user's own script, `TrialConfig` one config. Nothing
here reads files or checks anything.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
