"""Events of a sweep as people read them: one short line each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from orchestrator.cli.render.text_table import clean, number

_LONGEST = 400


def in_words(metric: str = "") -> Callable[[bytes], str]:
    """Return what turns pieces of an event log, as they come, into lines for people.

    A line that is torn between two pieces is told once it is whole; one that holds no event, not
    at all.

    Args:
        metric: what the value of a trial is called; "" where that is unknown.
    """
    rest = b""

    def convert(added: bytes) -> str:
        nonlocal rest
        *whole, rest = (rest + added).split(b"\n")
        return "".join(_line(line, metric or "value") for line in whole)

    return convert


def _line(line: bytes, metric: str) -> str:
    try:
        event: Any = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(event, dict):
        return ""
    try:
        moment = datetime.fromisoformat(str(event.get("time", ""))).astimezone()
        clock = moment.strftime("%d %b %H:%M:%S")
    except (ValueError, OverflowError):
        clock = "-"
    return f"{clock}  {clean(_told(event, metric), _LONGEST)}\n"


def _told(event: Mapping[str, Any], metric: str) -> str:
    name = str(event.get("event", "?"))
    known = _KNOWN.get(name)
    trial = f"trial {number(event['number'])}" if "number" in event else ""
    if trial and event.get("name"):
        trial += f" ({event['name']})"
    if known is not None:
        facts = [fact for fact in known(event, metric) if fact]
        head = trial or name.replace("_", " ")
    else:
        # Those who wrote `words` into an event said what people should read of it.
        words = event.get("words")
        facts = [words] if isinstance(words, str) and words else _plain_facts(event)
        head = ": ".join(part for part in (trial, name.replace("_", " ")) if part)
    return f"{head}: {', '.join(facts)}" if facts else head


def _sweep_started(event: Mapping[str, Any], _metric: str) -> list[str]:
    plan = _mapping(event.get("plan"))
    at_once = plan.get("start_parallel")
    n_trials = plan.get("n_trials")
    kept = event.get("kept")
    return [
        f"{number(n_trials)} trial{'' if n_trials == 1 else 's'}" if n_trials is not None else "",
        f"{number(kept)} known from before" if kept else "",
        f"{number(at_once)} at once" if at_once is not None else "",
    ]


def _trial_started(event: Mapping[str, Any], _metric: str) -> list[str]:
    device = str(_mapping(event.get("slot")).get("device") or "")
    on = f" on {f'GPU {device}' if device[:1].isdigit() else device}" if device else ""
    attempt = event.get("attempt")
    again = isinstance(attempt, int) and attempt > 1
    return [f"started{on}", f"attempt {attempt}" if again else ""]


def _trial_added(event: Mapping[str, Any], _metric: str) -> list[str]:
    link, origin = event.get("link"), event.get("origin")
    return [f"added ({link} of trial {origin})" if link and origin is not None else "added"]


def _trial_ended(event: Mapping[str, Any], metric: str) -> list[str]:
    state = str(event.get("state") or "ended")
    if event.get("reason"):
        return [state, _first_line(event["reason"])]
    value = event.get("value")
    return [state, f"{metric} {number(value)}" if value is not None else ""]


def _ended(event: Mapping[str, Any], _metric: str) -> list[str]:
    return [str(event.get("state") or ""), _first_line(event.get("reason"))]


def _warning(event: Mapping[str, Any], _metric: str) -> list[str]:
    return [f"warning: {event['text']}" if event.get("text") else "warning"]


_KNOWN: dict[str, Callable[[Mapping[str, Any], str], list[str]]] = {
    "sweep_started": _sweep_started,
    "sweep_ended": _ended,
    "stopping": _ended,
    "trial_started": _trial_started,
    "trial_added": _trial_added,
    "trial_ended": _trial_ended,
    "warning": _warning,
}
_SAID = frozenset({"time", "event", "number", "name", "words"})


def _plain_facts(event: Mapping[str, Any]) -> list[str]:
    """Return the facts of an event that nobody knows here, without null and nested JSON."""
    return [
        f"{name.replace('_', ' ')} {number(value)}"
        for name, value in event.items()
        if name not in _SAID and value not in ("", None) and not isinstance(value, dict | list)
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _first_line(value: Any) -> str:
    """Return what names a reason; of a failure's words the others are the end of its log."""
    return str(value).splitlines()[0] if value else ""
