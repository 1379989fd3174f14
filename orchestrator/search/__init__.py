"""Optuna: the studies of a sweep, its samplers and its pruners.

In: a spec, the reports of trials and how they ended. Out: proposed configs, and why a trial should
be pruned. Samplers and pruners are records in `orchestrator.sweepfile.space`; this package makes
Optuna's objects from them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
