from .policy import Policy as Policy
from .rule import (
    FALLEN as FALLEN,
    LONGEST_TRANSIENT as LONGEST_TRANSIENT,
    DivergenceRule as DivergenceRule,
)
from .series import fatal_value as fatal_value, number as number
from .symptom import Verdict as Verdict
from .watch import Watch as Watch, finding_key as finding_key
