from .noise import (
    between_configs as between_configs,
    not_worse as not_worse,
)
from .separation import Separation as Separation
from .two_runs import MetricPair as MetricPair, RunDiff as RunDiff, diff_runs as diff_runs
