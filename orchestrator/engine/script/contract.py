"""What a script's follower is handed by whoever runs the trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol


class ScriptRun(Protocol):
    """What `run_script` is handed beside the config."""

    @property
    def directory(self) -> Path:
        """The run directory."""

    @property
    def device(self) -> str:
        """``"cpu"`` or ``"cuda"``."""

    @property
    def threads(self) -> int:
        """CPU threads that the script may use."""

    @property
    def goes_on(self) -> bool:
        """True where an earlier attempt, or another trial, has left what to go on from."""

    @property
    def cap(self) -> tuple[int, int] | None:
        """What it may hold on its GPU, and all that this has, bytes; None for no cap."""

    def continues(self) -> None:
        """Take note that the script goes on, so that its reports follow the earlier ones."""

    @property
    def should_stop(self) -> bool:
        """True once the script should be ended."""

    def report(self, step: int, **metrics: float) -> None:
        """Take one report."""

    def describe(self, **facts: Any) -> None:
        """Merge `facts` into ``metadata.json``."""

    def progress(self, text: str) -> None:
        """Show what happens before the first report."""

    def warn(self, text: str) -> None:
        """Take what the user should know; it shows in status and beside the table."""

    def adopted(self, path: str) -> None:
        """Take note that the script's output folder has appeared."""


class UntilStopped:
    """A sink of reports that is closed once the script should be ended.

    What a fast script has printed by then still stands in the pipe; nobody judges it any more.
    """

    def __init__(self, run: ScriptRun) -> None:
        self._run = run
        self.describe = run.describe
        self.warn = run.warn

    def report(self, step: int, **metrics: float) -> None:
        """Pass one report on, as long as there is somebody to judge it."""
        if not self._run.should_stop:
            self._run.report(step, **metrics)
