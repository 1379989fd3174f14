"""The metrics that a script prints or writes into files, joined into reports.

In: the script's output, and the log files that it or the sweep file names. Out: one report for
each step, to the trial's run.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
