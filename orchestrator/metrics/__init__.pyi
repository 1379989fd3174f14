from .metric import (
    ArrayProblem as ArrayProblem,
    Metric as Metric,
    check_pair as check_pair,
)
from .own import OWN as OWN, own_values as own_values
from .registry import (
    asked_for as asked_for,
    evaluate as evaluate,
    goal as goal,
    kind_names as kind_names,
    known_metrics as known_metrics,
    resolve_kind as resolve_kind,
    unit as unit,
)
