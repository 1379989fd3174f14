from .run_folders import RunFolder as RunFolder, find_runs as find_runs
from .sweep_info import SweepInfo as SweepInfo
