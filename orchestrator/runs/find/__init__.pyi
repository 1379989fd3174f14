from .run_folders import RunFolder as RunFolder, SweepInfo as SweepInfo, find_runs as find_runs
