from .lost_levels import fatal_value as fatal_value
from .rule import (
    FALLEN as FALLEN,
    LONGEST_TRANSIENT as LONGEST_TRANSIENT,
    DivergenceRule as DivergenceRule,
)
from .series import (
    Rank as Rank,
    best_training_name as best_training_name,
    is_validation as is_validation,
)
from .symptom import Verdict as Verdict, number as number
from .watch import Policy as Policy, Reported as Reported, Watch as Watch
