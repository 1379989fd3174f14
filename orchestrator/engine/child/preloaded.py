"""What a forkserver loads before its first child, so that the children need not."""

from orchestrator.engine.child import main, trial_run

__all__ = ["main"]

trial_run.versions()
