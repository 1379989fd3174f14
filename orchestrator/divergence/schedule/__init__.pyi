from .declared import (
    Declared as Declared,
    declared_for as declared_for,
    from_words as from_words,
    schedule_of_trial as schedule_of_trial,
)
from .kinds import SCHEDULES as SCHEDULES, STEPPING as STEPPING, Parameter as Parameter
from .rates import Rates as Rates
