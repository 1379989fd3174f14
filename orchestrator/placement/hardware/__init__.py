"""What the machine has: GPUs, cores and RAM, as they are now, and who else uses them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
