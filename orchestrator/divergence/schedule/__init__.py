"""Learning-rate schedules and the audit that compares logged rates with them.

In: a schedule as a mapping or text, and (step, rate) pairs. Out: the rate at each step, and the
faults of the log. Each kind of schedule and each kind of fault is one record.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.divergence.schedule.declared import (
        Declared as Declared,
        declared_for as declared_for,
        from_words as from_words,
        schedule_of_trial as schedule_of_trial,
    )
    from orchestrator.divergence.schedule.kinds import (
        SCHEDULES as SCHEDULES,
        STEPPING as STEPPING,
        Parameter as Parameter,
    )
    from orchestrator.divergence.schedule.rates import Rates as Rates

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "declared": ["Declared", "declared_for", "from_words", "schedule_of_trial"],
        "kinds": ["Parameter", "SCHEDULES", "STEPPING"],
        "rates": ["Rates"],
    },
)
