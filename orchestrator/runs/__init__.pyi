from .layout import RunDir as RunDir, SweepDir as SweepDir, find_sweep as find_sweep
from .records import (
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
