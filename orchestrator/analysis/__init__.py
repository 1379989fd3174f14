"""Judge trials by their results: metrics, conditions, diagnoses.

In go run and sweep folders; out come numbers and verdicts, tables in `table`, status in `status`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
