"""The rule on real curves: bounds below what it reaches, so that a change that costs is seen."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections import defaultdict
from collections.abc import Iterable

import pytest

from benchmarks import divergence as benchmark
from orchestrator.divergence import DivergenceRule, Verdict
from tests.shared_data import shared_data


@pytest.fixture(scope="module")
def curves() -> list[benchmark.Curve]:
    return list(benchmark.read_curves(shared_data("curves", "labelled_curves.jsonl.gz")))


def test_it_detects_what_diverged_and_spares_what_is_healthy(
    curves: list[benchmark.Curve],
) -> None:
    figures = benchmark.score(curves, {curve.id: benchmark.judge(curve) for curve in curves})
    assert figures.diverged == 61
    assert figures.healthy == 72
    assert figures.detected / figures.diverged >= 0.95
    assert figures.stopped == 0
    assert figures.latency is not None
    assert figures.latency <= 2


def test_every_run_that_went_nan_in_training_is_stopped(curves: list[benchmark.Curve]) -> None:
    for curve in curves:
        if curve.mode != "min" or all(math.isfinite(value) for value in curve.values):
            continue
        first = next(i for i, value in enumerate(curve.values) if not math.isfinite(value))
        stopped = benchmark.judge(curve).stopped_at
        assert stopped is not None, curve.id
        assert stopped <= first, curve.id


@pytest.mark.slow
def test_the_benchmark_prints_what_a_reader_expects(capsys: pytest.CaptureFixture[str]) -> None:
    path = shared_data("curves", "labelled_curves.jsonl.gz")
    assert benchmark.main([str(path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed) == 189
    assert printed["c0001"] == {"stopped_at": 0, "symptom": "non-finite"}
    assert benchmark.main([str(path)]) == 0
    assert "| divergence rule |" in capsys.readouterr().out


def number(text: str) -> float | None:
    return float(text) if text else None


def runs_of(rows: Iterable[dict[str, str]], key: str) -> dict[str, list[dict[str, float]]]:
    """Return the reports of each run, without the cells that are empty or words."""
    runs: dict[str, list[dict[str, float]]] = defaultdict(list)
    for row in rows:
        names = (name for name in ("train_loss", "val_loss", "val_psnr_db") if name in row)
        values = {name: number(row[name]) for name in names}
        runs[row[key]].append({name: value for name, value in values.items() if value is not None})
    return runs


def last_verdict(reports: list[dict[str, float]], metric: str | None, goal: str) -> Verdict:
    rule = DivergenceRule(metric, goal)
    verdict = Verdict()
    for step, metrics in enumerate(reports):
        verdict = rule.update(step, metrics)
        if verdict.stops:
            break
    return verdict


def test_all_sar_runs_live_through_nan_in_validation() -> None:
    with shared_data("curves", "sar_autoencoder", "curves.csv").open() as stream:
        runs = runs_of(csv.DictReader(stream), "run")
    assert len(runs) == 12
    assert any(math.isnan(report["val_loss"]) for report in runs["resnet_lite_c16"])
    for run, reports in runs.items():
        verdict = last_verdict(reports, "val_psnr_db", "maximize")
        assert not verdict.stops, f"{run}: {verdict.reason}"


@pytest.mark.slow
def test_healthy_runs_of_a_benchmark_of_optimisers_live() -> None:
    folder = shared_data("curves", "algoperf")
    with gzip.open(folder / "trials.csv.gz", "rt") as stream:
        labels = {row["trial_id"]: row["derived_label"] for row in csv.DictReader(stream)}
    with gzip.open(folder / "curves.csv.gz", "rt") as stream:
        runs = runs_of(csv.DictReader(stream), "trial_id")
    healthy = [key for key, label in labels.items() if label == "healthy"]
    stopped = [key for key in healthy if last_verdict(runs[key], None, "minimize").stops]
    assert len(healthy) > 900
    assert stopped == [], "spikes and trainings that begin again come back"
