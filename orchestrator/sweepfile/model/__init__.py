"""The validated content of a sweep file, as plain values.

`Spec` is the whole file, `Program` a user's own script, `TrialConfig` one config. Nothing
here reads files or checks anything.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.sweepfile.model.course import (
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
        Domain as Domain,
        EarlyTerminate as EarlyTerminate,
        MetricGoal as MetricGoal,
        Spec as Spec,
        TrialConfig as TrialConfig,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "course": ["Promote", "Remedy", "Sampler", "Stage"],
        "program": ["MetricSources", "Program", "Step"],
        "spec": ["Domain", "EarlyTerminate", "MetricGoal", "Spec", "TrialConfig"],
    },
)
