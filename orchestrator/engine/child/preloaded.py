"""What a forkserver loads before its first child, so that the children need not."""

from orchestrator.engine.child import main as main, trial_run

trial_run.versions()
