"""Learning-rate schedules and the audit that compares logged rates with them.

In: a schedule as a mapping or text, and (step, rate) pairs. Out: the rate at each step, and the
faults of the log. Each kind of schedule and each kind of fault is one record.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
