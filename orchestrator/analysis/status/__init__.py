"""The status of a sweep and its trials, read from small files while it runs or afterwards."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.analysis.status.durations import complete_durations as complete_durations
    from orchestrator.analysis.status.sweep_status import (
        SweepStatus as SweepStatus,
        read_status as read_status,
    )
    from orchestrator.analysis.status.time_saved import by_hand as by_hand, savings as savings
    from orchestrator.analysis.status.trial_status import (
        TrialStatus as TrialStatus,
        parse_time as parse_time,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "durations": ["complete_durations"],
        "sweep_status": ["SweepStatus", "read_status"],
        "time_saved": ["by_hand", "savings"],
        "trial_status": ["TrialStatus", "parse_time"],
    },
)
