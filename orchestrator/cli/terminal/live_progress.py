"""What `sweep run` shows on a terminal: the live view, and above it what failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from orchestrator.cli.render.events import ENDED, STOPPING, Progress
from orchestrator.cli.terminal.frames import Frames
from orchestrator.cli.terminal.screen import Screen
from orchestrator.runs import SweepDir, TrialRecord, TrialState

_RAY, _PYTORCH = "starting Ray", "loading PyTorch"
_OVER = {"trial_started": ("starting", _RAY), "report": ("starting", _RAY, _PYTORCH)}
"""Event to what is over then."""


class LiveProgress(Progress):
    """Shows a running sweep, in a ``with`` statement. The arguments are those of `Progress`."""

    def __init__(
        self, metric: str | None, n_trials: int | None, *, prints_output: bool = False
    ) -> None:
        super().__init__(metric, n_trials, prints_output=prints_output)
        self._frames = Frames()
        self._frames.doing = "starting"
        self._screen: Screen | None = None

    def __enter__(self) -> Self:
        self._screen = Screen(self._frames.draw)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._screen is not None:
            self._screen.close()
        self._frames.close()

    def stopping(self, at_once: bool) -> None:
        """Show at Ctrl+C what happens next; called in a signal handler."""
        if at_once and self._screen is not None:
            self._screen.leave(ENDED)
        self._frames.doing = STOPPING

    def opened(self, folder: SweepDir, records: Mapping[int, TrialRecord]) -> None:
        """Print where the sweep is stored, and show it from now on."""
        super().opened(folder, records)
        self._frames.follow(folder)

    def __call__(self, event: str, record: TrialRecord | None, details: Mapping[str, Any]) -> None:
        """Take in one event of the engine; the view reads most of them from the folder."""
        if event == "starting":
            self._frames.doing = str(details["words"])
            if self._screen is not None:
                self._screen.refresh()
        elif event in _OVER and self._frames.doing in _OVER[event]:
            self._frames.doing = ""
        elif event == "expected" or (record is not None and record.state is TrialState.FAIL):
            super().__call__(event, record, details)
        elif event == "trial_ended":
            self._done += 1
