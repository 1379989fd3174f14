"""The keys of a sweep file, one record each: type, help, and the field of `Spec` that it fills.

The checker reads files by them, and `json_schema` describes the same to editors.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
