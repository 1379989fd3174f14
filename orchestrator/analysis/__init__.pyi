from .diagnose_runs import (
    Examination as Examination,
    Examined as Examined,
    examine as examine,
    shown_series as shown_series,
)
from .measure.measuring import evaluate_run as evaluate_run
from .measure.targets import Tally as Tally, Target as Target
from .trial_values import (
    Success as Success,
    facts_of as facts_of,
    joint_facts as joint_facts,
    judge_success as judge_success,
)
