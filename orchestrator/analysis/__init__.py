"""Metrics from predictions and targets, ranking, status."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.analysis.diagnose_runs import (
        Asked as Asked,
        Examination as Examination,
        Examined as Examined,
        examine as examine,
        shown_series as shown_series,
    )
    from orchestrator.analysis.evaluate import evaluate_run as evaluate_run
    from orchestrator.analysis.success import (
        Success as Success,
        judge_success as judge_success,
        shortfall as shortfall,
    )
    from orchestrator.analysis.sweep_status import (
        SweepStatus as SweepStatus,
        read_status as read_status,
    )
    from orchestrator.analysis.targets import Tally as Tally
    from orchestrator.analysis.time_saved import by_hand as by_hand, savings as savings
    from orchestrator.analysis.trial_status import (
        TrialStatus as TrialStatus,
        parse_time as parse_time,
    )
    from orchestrator.analysis.trial_values import facts_of as facts_of, joint_facts as joint_facts

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "diagnose_runs": ["Asked", "Examination", "Examined", "examine", "shown_series"],
        "evaluate": ["evaluate_run"],
        "success": ["Success", "judge_success", "shortfall"],
        "sweep_status": ["SweepStatus", "read_status"],
        "targets": ["Tally"],
        "time_saved": ["by_hand", "savings"],
        "trial_status": ["TrialStatus", "parse_time"],
        "trial_values": ["facts_of", "joint_facts"],
    },
)
