from .diagnose_runs import (
    Asked as Asked,
    Examination as Examination,
    Examined as Examined,
    examine as examine,
    shown_series as shown_series,
)
from .measure.measuring import evaluate_run as evaluate_run
from .measure.targets import Tally as Tally
from .success import Success as Success, judge_success as judge_success
from .trial_values import facts_of as facts_of, joint_facts as joint_facts
