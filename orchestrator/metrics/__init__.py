"""Metrics: what each is called, which way it is better, its unit, and how arrays give it.

In goes the kind of the data (``"decay_curve"``, or the trainer's name ``"edc"``) with predictions
and targets; out come numbers by name. A metric of any arrays is a module in `regression`; those of
one kind are declared by the trainer whose ``config.py`` has that ``DATA_KIND``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
