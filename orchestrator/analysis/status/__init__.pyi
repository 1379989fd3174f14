from .sweep_status import SweepStatus as SweepStatus, read_status as read_status
from .time_saved import by_hand as by_hand, savings as savings
from .trial_status import (
    TrialStatus as TrialStatus,
    complete_durations as complete_durations,
    numeric as numeric,
    parse_time as parse_time,
)
