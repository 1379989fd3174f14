"""Judge learning curves: tell a lost run from one that recovers, and find what else goes wrong.

In: the reports of a run, (step, metrics) one by one, and optionally its targets and schedule. Out:
a verdict with its reason after each report, or a diagnosis of the whole run. Depends on nothing but
the reports, so that it works in any training loop.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
