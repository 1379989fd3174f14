from .declared import (
    Declared as Declared,
    declared_for as declared_for,
    from_text as from_text,
    schedule_of_trial as schedule_of_trial,
)
from .expected import expected_rates as expected_rates
from .kinds import SCHEDULES as SCHEDULES, STEPPING as STEPPING, Parameter as Parameter
from .rate_audit import learning_rates as learning_rates
