from .metric import (
    ArrayProblem as ArrayProblem,
    Metric as Metric,
    check_pair as check_pair,
    check_sequences as check_sequences,
)
from .registry import (
    evaluate as evaluate,
    goal as goal,
    is_known_kind as is_known_kind,
    kind_names as kind_names,
    known_metrics as known_metrics,
    regression_metrics as regression_metrics,
    resolve_kind as resolve_kind,
    unit as unit,
)
