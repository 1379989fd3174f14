from .between_runs import RunSummary as RunSummary, compare_runs as compare_runs
from .one_run import Diagnosis as Diagnosis, Finding as Finding, diagnose as diagnose
from .policy_replay import Replay as Replay, replay as replay
