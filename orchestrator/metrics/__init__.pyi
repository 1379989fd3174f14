from .metric import Metric as Metric
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
from .samples import (
    ArrayProblem as ArrayProblem,
    check_pair as check_pair,
    check_sequences as check_sequences,
)
