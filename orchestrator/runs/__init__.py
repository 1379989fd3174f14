"""Sweep folders and run directories: where every file is, and the records in them.

`find` finds run folders in any tree, `read` reads one, `curves` reads logs of any tool.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.runs.layout import (
        RunDir as RunDir,
        SweepDir as SweepDir,
        find_sweep as find_sweep,
    )
    from orchestrator.runs.records import (
        SweepRecord as SweepRecord,
        SweepState as SweepState,
        TrialRecord as TrialRecord,
        TrialState as TrialState,
        load_trials as load_trials,
        log_event as log_event,
        now as now,
        read_reports as read_reports,
        results_folder as results_folder,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "layout": ["RunDir", "SweepDir", "find_sweep"],
        "records": [
            "SweepRecord",
            "SweepState",
            "TrialRecord",
            "TrialState",
            "load_trials",
            "log_event",
            "now",
            "read_reports",
            "results_folder",
        ],
    },
)
