"""Learning-rate schedules as pure functions of step, and the audit that holds a log against one."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.divergence.schedule.declared import (
        Declared as Declared,
        declared_for as declared_for,
        from_words as from_words,
        schedule_of_trial as schedule_of_trial,
    )
    from orchestrator.divergence.schedule.rates import Rates as Rates

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "declared": ["Declared", "declared_for", "from_words", "schedule_of_trial"],
        "rates": ["Rates"],
    },
)
