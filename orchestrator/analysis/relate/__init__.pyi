from .noise import (
    between_runs as between_runs,
    between_seeds as between_seeds,
    not_worse as not_worse,
)
from .separation import Separation as Separation
from .two_runs import RunDiff as RunDiff, diff_runs as diff_runs
