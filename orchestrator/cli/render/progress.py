"""What `sweep run` prints while trials run: one line an event, and reports at a pace."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.output import mute
from orchestrator.cli.render.text_table import clean
from orchestrator.engine.script.reports.output_lines import Lines, Tail
from orchestrator.files.units import format_duration
from orchestrator.placement.model import CPU
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialRecord, TrialState

# A report of one trial is printed at most this often; all stand in its metrics log.
REPORT_EVERY_S = 4.0
LAST_LINES = 12
_TAIL_BYTES = 65_536

_STYLE = {
    TrialState.COMPLETE: "green",
    TrialState.PRUNED: "yellow",
    TrialState.FAIL: "red",
    TrialState.WAITING: "cyan",
}


class Progress:
    """Prints the events of a sweep as they come.

    Args:
        metric: the metric that ranks, or None.
        n_trials: how many trials there will be; None where unbounded.
    """

    def __init__(self, metric: str | None, n_trials: int | None) -> None:
        self._metric = metric
        self._n_trials = n_trials
        self._started = time.monotonic()
        self._printed: dict[int, float] = {}
        self._done = 0
        self._running: set[int] = set()
        self._folder: SweepDir | None = None

    def opened(self, folder: SweepDir, records: Mapping[int, TrialRecord]) -> None:
        """Say where the sweep is kept and what of it is done already."""
        self._folder = folder
        self._done = sum(record.state.is_finished for record in records.values())
        say(f"folder:    {folder.path}")
        if records:
            waiting = len(records) - self._done
            say(f"continued: {self._done} trials kept, {waiting} run again")

    def __call__(self, event: str, record: TrialRecord | None, details: Mapping[str, Any]) -> None:
        """Print one event of the engine."""
        if record is None and event == "expected":
            self._n_trials = details["n_trials"]
        elif record is None:
            self._of_sweep(event, details)
        elif event == "trial_started":
            self._running.add(record.number)
            slot = record.slot or {}
            again = f", attempt {record.attempt}" if record.attempt > 1 else ""
            place = CPU if slot.get("device", CPU) == CPU else f"GPU {slot['device']}"
            threads = f", {slot.get('threads')} threads" if slot.get("threads", 1) > 1 else ""
            self._line(record, f"started on {place}{threads}{again}")
        elif event == "trial_added":
            link = {"promoted": "promoted from", "resumed": "goes on from"}.get(record.link or "")
            self._line(record, f"waits: {link or f'{record.link} of'} trial {record.origin}")
        elif event == "report":
            self._report(record, details["step"], details["metrics"])
        elif event == "progress":
            if self._is_time(record):
                self._line(record, clean(str(details["text"])))
        elif event == "warning":
            self._line(record, click.style(f"warning: {clean(str(details['text']))}", fg="yellow"))
        elif event == "trial_ended":
            self._ended(record)

    def _of_sweep(self, event: str, details: Mapping[str, Any]) -> None:
        text = str(details.get("words") or "")
        if event == "waited":
            text = f"waited for {format_duration(details['seconds'])}, goes on"
        elif event == "growth":
            place = "" if details["device"] == CPU else f"GPU {details['device']}: "
            text = f"{place}{text or 'measured one at a time'}"
        if text:
            elapsed = format_duration(time.monotonic() - self._started)
            say(f"[{elapsed:>7}] {click.style(clean(text), fg='cyan')}")

    def _report(self, record: TrialRecord, step: int, metrics: Mapping[str, float]) -> None:
        if not self._is_time(record) and step != record.total_steps:
            return
        names = ["train_loss", "loss", "val_loss", self._metric or "", "lr"]
        chosen = [name for name in dict.fromkeys(names) if name in metrics]
        chosen = chosen or list(metrics)[:4]
        total = f"/{record.total_steps}" if record.total_steps else ""
        values = "  ".join(f"{name} {metrics[name]:.4g}" for name in chosen)
        self._line(record, f"{step}{total}  {values}")

    def _ended(self, record: TrialRecord) -> None:
        self._running.discard(record.number)
        self._done += record.state.is_finished
        text = click.style(record.state.value, fg=_STYLE.get(record.state), bold=True)
        reason, *more = (record.reason or "").splitlines() or [""]
        if reason:
            text += f": {clean(reason)}"
        elif record.value is not None and self._metric:
            text += f"  {self._metric} {record.value:.4g}"
        total = f" of {self._n_trials}" if self._n_trials is not None else ""
        self._line(record, f"{text}   ({self._done}{total} done)")
        if record.state is TrialState.FAIL and self._folder is not None:
            log = self._folder.run_dir(record.number, record.name).log_file
            # What failed in a script says more than the end of its output.
            more = [line for line in more if not line.startswith("Log: ")]
            for line in more or _last_lines(log):
                say(f"    | {line}")
            if log.exists():  # in this process, output goes where ours goes
                say(f"    log: {log}")

    def _is_time(self, record: TrialRecord) -> bool:
        at = time.monotonic()
        if at - self._printed.get(record.number, -REPORT_EVERY_S) < REPORT_EVERY_S:
            return False
        self._printed[record.number] = at
        return True

    def _line(self, record: TrialRecord, text: str) -> None:
        elapsed = format_duration(time.monotonic() - self._started)
        say(f"[{elapsed:>7}] {record.number:04d}-{clean(record.name)}  {text}")


def say(text: str) -> None:
    """Print a line; once nobody reads any more, print nothing."""
    try:
        click.echo(text)
    except OSError:
        # Whoever read it (head, a terminal) has gone, which must not end the training.
        mute()


def _last_lines(path: Path) -> list[str]:
    """Return the end of a log as a terminal would show it, which nothing in it can steer."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            data = stream.read()
    except OSError:
        return []
    tail = Tail(LAST_LINES)
    for line in Lines().feed(data + b"\n"):
        tail.add(line)
    return list(tail.lines)
