"""Decide each start from the memory that is free at that moment.

In: what each waiting trial asks for and for how long, and the devices as they are now. Out: which
trial starts and its slot, or why none can.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.placement.admission.admission import (
        Admission as Admission,
        AdmissionLimits as AdmissionLimits,
    )
    from orchestrator.placement.admission.duration_estimate import Durations as Durations
    from orchestrator.placement.admission.ordering import Want as Want, overtaken as overtaken
    from orchestrator.placement.admission.waiting import Waiting as Waiting

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "admission": ["Admission", "AdmissionLimits"],
        "duration_estimate": ["Durations"],
        "ordering": ["Want", "overtaken"],
        "waiting": ["Waiting"],
    },
)
