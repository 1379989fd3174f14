"""The validated content of a sweep file, as plain values.

`Spec` is the whole file, `Program` a user's own script, `TrialConfig` one config. Nothing
here reads files or checks anything.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.sweepfile.model.course import (
        Budget as Budget,
        Promote as Promote,
        Remedy as Remedy,
        Sampler as Sampler,
        Stage as Stage,
    )
    from orchestrator.sweepfile.model.program import (
        MetricSources as MetricSources,
        Program as Program,
        Step as Step,
    )
    from orchestrator.sweepfile.model.spec import (
        Bound as Bound,
        Domain as Domain,
        EarlyTerminate as EarlyTerminate,
        Goal as Goal,
        MetricGoal as MetricGoal,
        Resources as Resources,
        Spec as Spec,
        TrialConfig as TrialConfig,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "course": ["Budget", "Promote", "Remedy", "Sampler", "Stage"],
        "program": ["MetricSources", "Program", "Step"],
        "spec": [
            "Bound",
            "Domain",
            "EarlyTerminate",
            "Goal",
            "MetricGoal",
            "Resources",
            "Spec",
            "TrialConfig",
        ],
    },
)
