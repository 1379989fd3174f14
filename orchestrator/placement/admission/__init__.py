"""Decide each start from the memory that is free at that moment."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.placement.admission.admission import Admission as Admission
    from orchestrator.placement.admission.waiting import Waiting as Waiting

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "admission": ["Admission"],
        "waiting": ["Waiting"],
    },
)
