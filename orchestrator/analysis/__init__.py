"""Judge trials by their results: metrics, conditions, diagnoses.

In go run folders and sweep folders; out come numbers and verdicts. Tables are in
`table`, the status of a running sweep in `status`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
