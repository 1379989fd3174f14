"""Where trials run: devices and their free memory, the need of a trial, the plan, admission."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.placement.fit import (
        NONE_FITS as NONE_FITS,
        Verdict as Verdict,
        judge as judge,
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
    from orchestrator.placement.sweep_plan import (
        Forecast as Forecast,
        decide as decide,
        forecast as forecast,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "fit": ["NONE_FITS", "Verdict", "judge"],
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
        "sweep_plan": ["Forecast", "decide", "forecast"],
    },
)
