from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.cli.render.events import in_words

SLOT = {"index": 0, "node": "", "device": "0", "memory_mib": 8192, "threads": 1, "visible": ""}
PLAN = {"mode": "parallel", "start_parallel": 2, "max_parallel": 3, "slots": [SLOT], "n_trials": 6}


def told(**event: Any) -> str:
    line = in_words("val_mae")(json.dumps({"time": "2026-11-20T11:58:45+00:00", **event}).encode())
    assert line == "", "not before the line has ended"
    whole = (json.dumps({"time": "2026-11-20T11:58:45+00:00", **event}) + "\n").encode()
    clock, _, words = in_words("val_mae")(whole).partition("  ")
    assert clock[:6] in ("20 Nov", "21 Nov", "19 Nov")
    assert words.endswith("\n")
    return words.removesuffix("\n")


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"event": "sweep_started", "plan": PLAN, "kept": 0}, "sweep started: 6 trials, 2 at once"),
        (
            {"event": "sweep_started", "plan": {**PLAN, "n_trials": None}, "kept": 4},
            "sweep started: 4 known from before, 2 at once",
        ),
        (
            {"event": "trial_started", "number": 1, "name": "b", "attempt": 1, "slot": SLOT},
            "trial 1 (b): started on GPU 0",
        ),
        (
            {
                "event": "trial_started",
                "number": 1,
                "name": "b",
                "attempt": 1,
                "slot": SLOT | {"node": "n2"},
            },
            "trial 1 (b): started on GPU 0 of n2",
        ),
        (
            {"event": "trial_started", "number": 1, "name": "b", "attempt": 2, "slot": None},
            "trial 1 (b): started, attempt 2",
        ),
        (
            {"event": "warning", "number": 1, "name": "b", "text": "asked lr 1, recorded 2"},
            "trial 1 (b): warning: asked lr 1, recorded 2",
        ),
        (
            {"event": "trial_ended", "number": 0, "name": "a", "state": "COMPLETE", "value": 0.5},
            "trial 0 (a): COMPLETE, val_mae 0.5",
        ),
        (
            {
                **{"event": "trial_ended", "number": 0, "name": "a", "state": "FAIL"},
                **{"reason": "exit code 1\nTraceback\n  ...", "value": 3.0},
            },
            "trial 0 (a): FAIL, exit code 1",
        ),
        ({"event": "trial_ended", "number": 0, "name": "a"}, "trial 0 (a): ended"),
        ({"event": "stopping", "reason": "interrupted"}, "stopping: interrupted"),
        ({"event": "sweep_ended", "state": "FINISHED", "reason": ""}, "sweep ended: FINISHED"),
        (
            {"event": "growth", "device": "0", "ratio": 1.62, "words": "2 at once, trying 3"},
            "growth: 2 at once, trying 3",
        ),
        (
            {"event": "never_seen", "number": 2, "name": "c", "a_b": 1.23456, "n": None, "m": SLOT},
            "trial 2 (c): never seen: a b 1.235",
        ),
        ({"event": "waited", "seconds": 1201.1}, "waited: seconds 1201"),
        ({}, "?"),
    ],
)
def test_each_event_is_one_short_line(event: dict[str, Any], words: str) -> None:
    assert told(**event) == words


def test_events_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in told(
        event="trial_ended", number=0, name="\x1b[2J", state="FAIL", reason="\r"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("sweep_started", "sweep_ended", "stopping", "trial_started", "trial_ended", "warning")
KEYS = ("time", "number", "name", "plan", "kept", "slot", "attempt", "state", "reason", "value")


@given(
    st.sampled_from(NAMES) | JSON,
    st.dictionaries(st.sampled_from((*KEYS, "text", "words")) | st.text(), JSON),
    st.data(),
)
def test_events_of_any_shape_are_one_line_however_they_are_torn(
    name: Any, facts: dict[str, Any], data: st.DataObject
) -> None:
    raw = (json.dumps({**facts, "event": name}) + "\n").encode()
    at = data.draw(st.integers(0, len(raw)))
    convert = in_words()
    text = convert(raw[:at]) + convert(raw[at:])
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert text == in_words()(raw)


@given(st.binary())
def test_lines_that_are_no_events_are_dropped(raw: bytes) -> None:
    assert isinstance(in_words()(raw + b"\n"), str)
