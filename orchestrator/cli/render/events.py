"""Events of a sweep as short lines: from its event log, or live as `sweep run` prints them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import click

from orchestrator.cli.output import say
from orchestrator.cli.render.names import cut
from orchestrator.cli.render.text import clean, folded, number, plural, terminal_width
from orchestrator.engine.script import Lines, Tail
from orchestrator.files import format_duration, jsonl, regular
from orchestrator.placement import CPU
from orchestrator.runs import SweepDir, TrialRecord, TrialState

STOPPING = "Stopping: running trials save their state. Ctrl+C again stops at once."
ENDED = "Ended at once. Run it again to continue."

_REPORT_EVERY_S = 10.0  # shortest time between two printed reports of a trial; its log has all
_LAST_LINES = 12
_TAIL_BYTES = 65_536
_LONGEST = 400
_LONGEST_NAME = 60  # its folder's has as many at most
_NO_FACTS = frozenset({"time", "event", "number", "name", "words"})
_STYLE = {
    TrialState.COMPLETE: "green",
    TrialState.PRUNED: "yellow",
    TrialState.FAIL: "red",
    TrialState.WAITING: "cyan",
}


def in_words(
    metric: str = "", clock: str = "%d %b %H:%M:%S", longest_name: int = _LONGEST_NAME
) -> Callable[[bytes], str]:
    """Return a function that turns pieces of an event log, as they come, into readable lines.

    A line that is split between two pieces is returned once it is complete; a line that is no
    event is dropped.

    Args:
        metric: the name of a trial's value; "" if unknown.
        clock: format of the time at the beginning of a line.
        longest_name: characters of a trial's name.
    """
    rest = b""

    def convert(added: bytes) -> str:
        nonlocal rest
        *whole, rest = (rest + added).split(b"\n")
        return "".join(_line(line, metric or "value", clock, longest_name) for line in whole)

    return convert


def _line(line: bytes, metric: str, clock: str, longest_name: int) -> str:
    found = jsonl.parse(line)
    if not found:
        return ""
    event = found[0]
    try:
        moment = datetime.fromisoformat(str(event.get("time", ""))).astimezone()
        shown = moment.strftime(clock)
    except (ValueError, OverflowError):
        shown = "-"
    return f"{shown}  {clean(_sentence(event, metric, longest_name), _LONGEST)}\n"


def _sentence(event: Mapping[str, Any], metric: str, longest_name: int) -> str:
    kind = str(event.get("event", "?"))
    title = kind.replace("_", " ")
    trial = f"trial {number(event['number'])}" if "number" in event else ""
    if trial and event.get("name"):
        trial += f" ({cut(clean(str(event['name'])), longest_name)})"
    head = trial or title
    facts = _known_facts(kind, event, metric)
    if facts is None:
        head = f"{trial}: {title}" if trial else title
        facts = _unknown_facts(event)
    text = ", ".join(fact for fact in facts if fact)
    return f"{head}: {text}" if text else head


def _known_facts(kind: str, event: Mapping[str, Any], metric: str) -> list[str] | None:
    """Return the facts of an event in order, some maybe empty; None if its kind is unknown."""

    def mapping(name: str) -> Mapping[str, Any]:
        value = event.get(name)
        return value if isinstance(value, Mapping) else {}

    # After a failure, the other lines of a reason are the end of the trial's log.
    reason, *_ = str(event.get("reason") or "").splitlines() or [""]
    match kind:
        case "sweep_started":
            total, at_once = mapping("plan").get("n_trials"), mapping("plan").get("start_parallel")
            kept = event.get("kept")
            return [
                f"{number(total)} trial{'' if total == 1 else 's'}" if total is not None else "",
                f"{number(kept)} known from before" if kept else "",
                f"{number(at_once)} at once" if at_once is not None else "",
            ]
        case "trial_started":
            return [_started(mapping("slot"), event.get("attempt"))]
        case "trial_added":
            link, origin = event.get("link"), event.get("origin")
            return [f"added ({link} of trial {origin})" if link and origin is not None else "added"]
        case "trial_ended":
            value = event.get("value")
            shown = f"{metric} {number(value)}" if value is not None else ""
            return [str(event.get("state") or "ended"), reason or shown]
        case "stopping" | "sweep_ended":
            return [str(event.get("state") or ""), reason]
        case "warning":
            return [f"warning: {event['text']}" if event.get("text") else "warning"]
    return None


def _started(slot: Mapping[str, Any], attempt: Any) -> str:
    device, threads = str(slot.get("device") or ""), slot.get("threads")
    text = "started"
    if device:
        text += f" on {f'GPU {device}' if device[:1].isdigit() else device}"
        text += f" of {node}" if (node := str(slot.get("node") or "")) else ""
    if isinstance(threads, int) and threads > 1:
        text += f", {plural(threads, 'thread')}"
    if isinstance(attempt, int) and attempt > 1:
        text += f", attempt {attempt}"
    return text


def _unknown_facts(event: Mapping[str, Any]) -> list[str]:
    """Return the event's own ``words``, else its facts without null and nested JSON."""
    words = event.get("words")
    if isinstance(words, str) and words:
        return [words]
    return [
        f"{name.replace('_', ' ')} {number(value)}"
        for name, value in event.items()
        if name not in _NO_FACTS and value not in ("", None) and not isinstance(value, dict | list)
    ]


class Progress:
    """Prints the events of a running sweep.

    Args:
        metric: the metric that ranks, if any.
        n_trials: how many trials there will be; None if unbounded.
        prints_output: True if what trials print is on this terminal too.
    """

    def __init__(
        self, metric: str | None, n_trials: int | None, *, prints_output: bool = False
    ) -> None:
        self._prints_output = prints_output
        self._metric = metric
        self._n_trials = n_trials
        self._started = time.monotonic()
        self._printed: dict[int, float] = {}
        self._done = 0
        self._waiting: int | None = None
        self._folder: SweepDir | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        return None

    def stopping(self, at_once: bool) -> None:
        """Print at Ctrl+C what happens next; called in a signal handler."""
        # It may have interrupted a write to the stream.
        with suppress(OSError):
            os.write(2, f"\n{ENDED if at_once else STOPPING}\n".encode())

    def opened(self, folder: SweepDir, records: Mapping[int, TrialRecord]) -> None:
        """Print where the sweep is stored, and note how many trials are already done."""
        self._folder = folder
        self._done = sum(record.state.is_finished for record in records.values())
        say(f"folder:    {folder.path}")
        if records:  # what is left follows, once it is known who is promoted
            self._waiting = len(records) - self._done

    def __call__(self, event: str, record: TrialRecord | None, details: Mapping[str, Any]) -> None:
        """Print one event of the engine."""
        if record is None:
            self._of_sweep(event, details)
            return
        match event:
            case "trial_started":
                self._line(record, _started(record.slot or {"device": CPU}, record.attempt))
            case "trial_added":
                links = {"promoted": "promoted from", "resumed": "continues"}
                link = links.get(record.link or "", f"{record.link} of")
                self._line(record, f"waiting: {link} trial {record.origin}")
            case "report":
                self._report(record, details["step"], details["metrics"])
            case "progress":
                if self._is_time(record):
                    self._line(record, clean(str(details["text"])))
            case "warning":
                text = f"warning: {clean(str(details['text']))}"
                self._line(record, click.style(text, fg="yellow"))
            case "trial_ended":
                self._ended(record)

    def _of_sweep(self, event: str, details: Mapping[str, Any]) -> None:
        text = str(details.get("words") or "")
        if event == "expected":
            self._n_trials = details["n_trials"]
            if self._waiting is not None:
                left = max(self._waiting, (self._n_trials or 0) - self._done)
                say(f"continued: {plural(self._done, 'trial')} kept, {left} to run")
                self._waiting = None
        elif event == "waited":
            text = f"waited for {format_duration(details['seconds'])}, continuing"
        elif event == "growth":
            place = "" if details["device"] == CPU else f"GPU {details['device']}: "
            text = f"{place}{text or 'measured one at a time'}"
        if text:
            self._say(click.style(clean(text), fg="cyan"))

    def _report(self, record: TrialRecord, step: int, metrics: Mapping[str, float]) -> None:
        if not self._is_time(record) and step != record.total_steps:
            return
        names = dict.fromkeys(["train_loss", "loss", "val_loss", self._metric or "", "lr"])
        chosen = [name for name in names if name in metrics] or list(metrics)[:4]
        total = f"/{record.total_steps}" if record.total_steps else ""
        values = "  ".join(f"{name} {metrics[name]:.4g}" for name in chosen)
        self._line(record, f"{step}{total}  {values}")

    def _ended(self, record: TrialRecord) -> None:
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
            # The error of a script is more informative than the end of its output.
            error = [line for line in more if not line.startswith("Log: ")]
            for line in (error or _last_lines(log)) if not self._prints_output else ():
                say(f"    | {line}")
            if log.exists():
                say(f"    log: {log}")

    def _is_time(self, record: TrialRecord) -> bool:
        now = time.monotonic()
        if now - self._printed.get(record.number, -_REPORT_EVERY_S) < _REPORT_EVERY_S:
            return False
        self._printed[record.number] = now
        return True

    def _line(self, record: TrialRecord, text: str) -> None:
        self._say(f"{record.number:04d}-{cut(clean(record.name), _LONGEST_NAME)}  {text}")

    def _say(self, text: str) -> None:
        head = f"[{format_duration(time.monotonic() - self._started):>7}] "
        say(folded(head + text, terminal_width(), indent=len(head)))


def _last_lines(path: Path) -> list[str]:
    """Return the end of a log as a terminal would show it, without control characters."""
    try:
        with regular.open_file(path, path.parent) as stream:
            stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            data = stream.read()
    except OSError:
        return []
    tail = Tail(_LAST_LINES)
    for line in Lines().feed(data + b"\n"):
        tail.add(line)
    return list(tail.lines)
