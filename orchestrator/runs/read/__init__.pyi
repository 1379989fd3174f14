from .groups import group_file as group_file
from .run_folders import find_runs as find_runs, unstarted as unstarted
from .stored_run import (
    StoredRun as StoredRun,
    SweepInfo as SweepInfo,
    open_run as open_run,
    value_at as value_at,
)
