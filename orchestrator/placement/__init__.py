"""Where trials run: devices and their free memory, the need of a trial, the plan, admission."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.placement.duration_estimate import Durations as Durations
    from orchestrator.placement.fit import (
        NONE_FITS as NONE_FITS,
        Verdict as Verdict,
        judge as judge,
    )
    from orchestrator.placement.history import (
        FILE as FILE,
        History as History,
        MemoryKey as MemoryKey,
        memory_key as memory_key,
    )
    from orchestrator.placement.model import (
        CPU as CPU,
        Device as Device,
        Host as Host,
        Need as Need,
        Placement as Placement,
        Plan as Plan,
        Policy as Policy,
        Process as Process,
        Share as Share,
        Slot as Slot,
        declared as declared,
        policy_of as policy_of,
    )
    from orchestrator.placement.oom import (
        ALL_OF_IT as ALL_OF_IT,
        MOST_RETRIES as MOST_RETRIES,
        Kind as Kind,
        Retry as Retry,
        classify as classify,
        figures as figures,
        retry as retry,
    )
    from orchestrator.placement.ordering import Want as Want, overtaken as overtaken
    from orchestrator.placement.sweep_plan import (
        Forecast as Forecast,
        decide as decide,
        forecast as forecast,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "duration_estimate": ["Durations"],
        "fit": ["NONE_FITS", "Verdict", "judge"],
        "history": ["FILE", "History", "MemoryKey", "memory_key"],
        "model": [
            "CPU",
            "Device",
            "Host",
            "Need",
            "Placement",
            "Plan",
            "Policy",
            "Process",
            "Share",
            "Slot",
            "declared",
            "policy_of",
        ],
        "oom": ["ALL_OF_IT", "Kind", "MOST_RETRIES", "Retry", "classify", "figures", "retry"],
        "ordering": ["Want", "overtaken"],
        "sweep_plan": ["Forecast", "decide", "forecast"],
    },
)
