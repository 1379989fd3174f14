from .program import MetricSources as MetricSources, Program as Program, Step as Step
from .spec import (
    Domain as Domain,
    EarlyTerminate as EarlyTerminate,
    MetricGoal as MetricGoal,
    Promote as Promote,
    Remedy as Remedy,
    Sampler as Sampler,
    Spec as Spec,
    Stage as Stage,
    TrialConfig as TrialConfig,
)
