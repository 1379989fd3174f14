from .policy import Policy as Policy
from .rule import (
    FALLEN as FALLEN,
    LONGEST_TRANSIENT as LONGEST_TRANSIENT,
    DivergenceRule as DivergenceRule,
)
from .series import fatal_value as fatal_value, number as number
from .symptom import Verdict as Verdict
from .symptoms.too_slow import is_forecast as is_forecast
from .watch import Watch as Watch, finding_key as finding_key
