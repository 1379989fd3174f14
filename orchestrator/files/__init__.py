"""Files that survive crashes (`atomic`, `jsonl`, `lock`), safe reading (`regular`), and sizes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
