from .lost_levels import fatal_value as fatal_value
from .policy import Policy as Policy, Reported as Reported
from .rule import (
    FALLEN as FALLEN,
    LONGEST_TRANSIENT as LONGEST_TRANSIENT,
    DivergenceRule as DivergenceRule,
)
from .verdict import Verdict as Verdict, number as number
from .watch import Watch as Watch
