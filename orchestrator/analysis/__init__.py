"""Judge trials by their results: metrics, conditions, diagnoses.

In go run folders and sweep folders; out come numbers and verdicts. Tables are in
`table`, the status of a running sweep in `status`.
"""

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
    from orchestrator.analysis.measure.evaluation import (
        evaluate_run as evaluate_run,
    )
    from orchestrator.analysis.measure.targets import (
        Tally as Tally,
    )
    from orchestrator.analysis.success import (
        Success as Success,
        judge_success as judge_success,
    )
    from orchestrator.analysis.trial_values import (
        facts_of as facts_of,
        joint_facts as joint_facts,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "diagnose_runs": ["Asked", "Examination", "Examined", "examine", "shown_series"],
        "measure.evaluation": ["evaluate_run"],
        "measure.targets": ["Tally"],
        "success": ["Success", "judge_success"],
        "trial_values": ["facts_of", "joint_facts"],
    },
)
