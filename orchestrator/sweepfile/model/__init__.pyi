from .course import (
    EarlyTerminate as EarlyTerminate,
    Promote as Promote,
    Remedy as Remedy,
    Sampler as Sampler,
    Stage as Stage,
)
from .program import MetricSources as MetricSources, Program as Program, Step as Step
from .spec import (
    Domain as Domain,
    MetricGoal as MetricGoal,
    Spec as Spec,
    TrialConfig as TrialConfig,
)
