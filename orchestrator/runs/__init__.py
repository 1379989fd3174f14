"""What happened: sweep folders, run directories, and the records in them."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.runs.durations import complete_durations as complete_durations
    from orchestrator.runs.layout import (
        RunDir as RunDir,
        SweepDir as SweepDir,
        find_sweep as find_sweep,
        is_called as is_called,
        safe_name as safe_name,
    )
    from orchestrator.runs.records import (
        SweepRecord as SweepRecord,
        SweepState as SweepState,
        TrialRecord as TrialRecord,
        TrialState as TrialState,
        driver_lives as driver_lives,
        load_trials as load_trials,
        log_event as log_event,
        now as now,
        read_reports as read_reports,
        results_folder as results_folder,
        state_now as state_now,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "durations": ["complete_durations"],
        "layout": ["RunDir", "SweepDir", "find_sweep", "is_called", "safe_name"],
        "records": [
            "SweepRecord",
            "SweepState",
            "TrialRecord",
            "TrialState",
            "driver_lives",
            "load_trials",
            "log_event",
            "now",
            "read_reports",
            "results_folder",
            "state_now",
        ],
    },
)
