"""The benchmark's own arithmetic, and the rules of others on curves where the answer is plain."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest

from benchmarks import divergence as benchmark
from benchmarks.rules import RULES
from orchestrator.divergence import lost_levels
from tests.shared_data import shared_data

FALLING = tuple(0.9**n for n in range(40))


def curve(
    values: tuple[float, ...],
    label: str,
    onset: int | None = None,
    *,
    mode: str = "min",
    repo: str = "a/b",
) -> benchmark.Curve:
    return benchmark.Curve(f"{repo}{label}{onset}", repo, mode, values, label, onset, False)


@pytest.mark.parametrize("name", RULES)
def test_no_rule_stops_what_only_falls_and_all_stop_nan(name: str) -> None:
    rule = RULES[name]
    assert benchmark.judge_by(rule, curve(FALLING, "healthy")).stopped_at is None
    rising = tuple(1 - value for value in FALLING[1:])
    metric = curve(rising, "healthy", mode="max")
    assert benchmark.judge_by(rule, metric).stopped_at is None
    bad = curve((*FALLING[:20], math.nan, math.nan), "diverged_nan", 20)
    assert benchmark.judge_by(rule, bad).stopped_at == 20


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("first non-finite", None),
        ("Optuna Threshold, 10 × first", 24),
        ("Lightning-like, 2 × first", 22),
        ("by hand: 61 % over best", 20),
        ("by hand: all three", 20),
    ],
)
def test_where_the_rules_stop_an_explosion(name: str, at: int | None) -> None:
    values = (*FALLING[:20], *(0.5 * 2.5**n for n in range(10)))
    assert benchmark.judge_by(RULES[name], curve(values, "diverged_explosion", 20)).stopped_at == at


def test_what_is_counted() -> None:
    lost = curve((*FALLING[:20], *[math.nan] * 20), "diverged_nan", 20)
    early = curve((*FALLING[:30], *[math.nan] * 20), "diverged_nan", 30)
    sound = curve(FALLING, "healthy")
    outcomes = {
        lost.id: benchmark.Outcome(21, "x"),
        early.id: benchmark.Outcome(3, "x"),
        sound.id: benchmark.Outcome(19, "x"),
    }
    figures = benchmark.score([lost, early, sound], outcomes)
    assert (figures.detected, figures.diverged, figures.early) == (1, 2, 1)
    assert (figures.stopped, figures.healthy, figures.latency) == (1, 1, 1)
    assert figures.saved == pytest.approx(18 / 90)  # an early stop saves nothing worth having
    assert figures.thrown_away == pytest.approx(20 / 40)
    assert (figures.repo_mean(0), figures.repo_mean(2)) == (0.5, 1.0)


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    # Wilson (1927) as tabled for 95 %.
    [(0, 72, 0.0, 0.0507), (60, 61, 0.9128, 0.9971), (5, 10, 0.2366, 0.7634), (0, 0, 0, 1)],
)
def test_wilson(part: int, whole: int, low: float, high: float) -> None:
    assert benchmark.wilson(part, whole) == pytest.approx((low, high), abs=5e-4)


def test_thresholds_are_put_back() -> None:
    before = {name: getattr(lost_levels, name) for name in benchmark.GRID}
    curves = [curve(FALLING, "healthy"), curve(FALLING, "healthy", repo="c/d")]
    found, chosen = benchmark.cross_validate(curves, benchmark.judge)
    assert {outcome.stopped_at for outcome in found.values()} == {None}
    assert sum(chosen.values()) == 2
    assert list(chosen) == [", ".join(f"{n} {v:g}" for n, v in before.items())]
    assert before == {name: getattr(lost_levels, name) for name in benchmark.GRID}


def test_ours_beats_the_others_on_the_labelled_curves() -> None:
    path = shared_data("curves", "labelled_curves.jsonl.gz")
    curves = list(benchmark.read_curves(path))
    ours = benchmark.score(curves, {one.id: benchmark.judge(one) for one in curves})
    for rule in RULES.values():
        figures = benchmark.score(curves, {one.id: benchmark.judge_by(rule, one) for one in curves})
        assert ours.detected > figures.detected
        assert ours.stopped <= figures.stopped
        assert ours.saved > figures.saved


def test_a_file_of_curves_may_leave_out_what_is_optional(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fall = [1 / (n + 1) for n in range(10)]
    curves: list[dict[str, object]] = [
        {"id": "bare", "values": [*fall, "NaN", 1]},
        {"id": "gaps", "values": [None, *fall, "", None, "-inf"], "mode": None, "val_loss": None},
        {"id": "metric", "values": [*[1 - v for v in fall], *[0.0] * 9], "mode": "max"},
        {"id": "warns", "values": [0.5, "Infinity", 0.6, 0.7], "mode": "max", "onset": None},
        {"id": "nothing", "values": []},
        {"values": [3, 2, 1]},
    ]
    # Some writers put NaN and infinities bare into JSON, and blank lines between.
    lines = [*map(json.dumps, curves), "", '{"id": "literal", "values": [1, 0.5, NaN]}']
    packed = tmp_path / "curves.jsonl.gz"
    packed.write_bytes(gzip.compress("\n".join(lines).encode()))
    assert benchmark.main([str(packed), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "bare": {"stopped_at": 10, "symptom": "non-finite"},
        "gaps": {"stopped_at": 13, "symptom": "non-finite"},
        "metric": {"stopped_at": 12, "symptom": "lost progress"},
        "warns": {"stopped_at": None, "symptom": None},
        "nothing": {"stopped_at": None, "symptom": None},
        "line 6": {"stopped_at": None, "symptom": None},
        "literal": {"stopped_at": 2, "symptom": "non-finite"},
    }
    assert benchmark.main([str(packed)]) == 0, "the tables need no labels either"


@pytest.mark.parametrize("line", ["[1, 2]", '{"id": "a"}', '{"id": "a", "values": ["x"]}', "{"])
def test_a_line_that_is_no_curve_is_named(
    tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "curves.jsonl"
    file.write_text('{"values": [1]}\n' + line + "\n")
    with pytest.raises(SystemExit):
        benchmark.main([str(file), "--json"])
    assert "line 2: must be a curve" in capsys.readouterr().err
