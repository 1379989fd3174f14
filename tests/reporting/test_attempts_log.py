"""Where and when trials ran, read from the event log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.files import jsonl
from orchestrator.reporting import collect
from orchestrator.reporting.attempts_log import occupancy
from orchestrator.reporting.figures.placement_plots import placement
from orchestrator.runs import SweepDir
from tests.reporting.made_report import a_sweep

SLOT = {"index": 0, "node": "", "device": "0", "memory_mib": 2048}


def log(sweep: SweepDir, *events: tuple[int, str, dict[str, Any]]) -> None:
    sweep.path.mkdir(parents=True, exist_ok=True)
    for second, kind, facts in events:
        time = f"2026-01-01T00:00:{second:02d}.000+00:00"
        jsonl.append(sweep.events_file, {"time": time, "event": kind, **facts})


def test_attempts_moments_and_a_killed_driver(tmp_path: Path) -> None:
    sweep = SweepDir(tmp_path)
    log(
        sweep,
        (0, "sweep_started", {}),
        (1, "trial_started", {"number": 0, "name": "a", "slot": SLOT, "attempt": 1}),
        (5, "out_of_memory", {"number": 0, "words": "needs more"}),
        (6, "trial_ended", {"number": 0, "state": "COMPLETE"}),
        (7, "trial_started", {"number": 1, "name": "b", "slot": "damaged"}),
        (9, "warning", {"number": 1, "text": "slow"}),
        (30, "sweep_started", {}),
        (31, "trial_started", {"number": 1, "name": "b", "slot": SLOT, "attempt": 2}),
        (40, "warning", {"number": 1, "text": "slow"}),
    )
    sweep.events_file.write_text(sweep.events_file.read_text() + '{"time": "never"}\nno json\n')
    found = occupancy(sweep)
    assert [(each.trial, each.place, each.start_s, each.end_s) for each in found.attempts] == [
        ("a", "GPU 0, slot 0", 1.0, 6.0),
        ("b", "CPU", 7.0, 9.0),
        ("b", "GPU 0, slot 0", 31.0, 40.0),
    ]
    assert [each.state for each in found.attempts] == ["COMPLETE", "", ""]
    assert [(each.at_s, each.kind, each.text) for each in found.moments] == [
        (5.0, "out of memory", "needs more")
    ]


def test_a_sweep_without_events_has_no_placement(tmp_path: Path) -> None:
    assert occupancy(SweepDir(tmp_path)).attempts == ()


def test_the_chart_shows_every_attempt(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path)
    log(
        sweep,
        (1, "trial_started", {"number": 0, "name": "a", "slot": SLOT, "attempt": 1}),
        (4, "growth", {"words": "2 at once on GPU 0"}),
        (6, "trial_ended", {"number": 0, "state": "PRUNED"}),
    )
    chart, memory = placement(collect([tmp_path]))
    (bar, moments) = chart.figure.data
    assert (bar.base[0], bar.x[0], bar.name) == (0.0, 5.0, "pruned")
    assert moments.text == ("more at once: 2 at once on GPU 0",)
    assert list(memory.figure.data[0].y) == [2.0, 0.0]
