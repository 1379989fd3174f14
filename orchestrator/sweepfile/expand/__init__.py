"""The configs of a sweep's trials.

A `Spec` goes in; configs come out lazily, in the order in which trials start (`iter_configs`), or
one by one for what a sampler chose (`make_config`). They can be counted without making them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
