"""What the results need to know of a sweep, from its own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.files import atomic
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepRecord


@dataclass(frozen=True)
class SweepInfo:
    """What a ranking needs to know of the sweep that a run belongs to.

    Attributes:
        path: its folder, absolute.
        metric: the metric that ranks it; "" if none is known.
        goal: ``"minimize"`` or ``"maximize"``, for `metric`.
        targets: metric name to bound, as ``{"t20_mae": "<= 0.02"}``.
        tiers: tier to such targets, the least demanding first.
        expect: milestone to bound, as ``{"train_mse@5": "< 0.2"}``.
        stages: names of its stages, in their order.
        has_baseline: True if its first trial is the baseline of an ablation.
        references: name to ``{"metrics": {...}, "path": ...}``.
        seed_parameter: the parameter by which the replicates of a config differ.
        is_program: True if the user's own script made the arrays.
        lives: True while a driver runs it.
    """

    name: str
    path: Path
    metric: str = ""
    goal: str = "minimize"
    targets: Mapping[str, str] = field(default_factory=dict)
    tiers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    expect: Mapping[str, str] = field(default_factory=dict)
    stages: tuple[str, ...] = ()
    has_baseline: bool = False
    references: Mapping[str, Any] = field(default_factory=dict)
    seed_parameter: str = "seed"
    is_program: bool = False
    lives: bool = False

    @classmethod
    def load(cls, sweep: SweepDir) -> SweepInfo | None:
        """Return what the folder of a sweep holds; None if it is not a sweep's."""
        record = SweepRecord.load(sweep)
        spec: dict[str, Any] = atomic.read_json(sweep.spec_file) or {}
        if record is None and not spec:
            return None
        metric = _map(spec.get("metric"))
        if record is None:
            record = SweepRecord(
                str(spec.get("name") or sweep.name), goal=str(metric.get("goal") or "minimize")
            )
        stages = spec.get("stages")
        return cls(
            name=record.sweep,
            path=sweep.path,
            metric=record.metric or str(metric.get("name") or ""),
            goal=record.goal,
            targets=_texts(spec.get("targets")),
            tiers={str(tier): _texts(bounds) for tier, bounds in _map(spec.get("tiers")).items()},
            expect=_texts(spec.get("expect")),
            stages=tuple(
                str(stage.get("name"))
                for stage in (stages if isinstance(stages, list) else ())
                if isinstance(stage, dict)
            ),
            has_baseline=bool(spec.get("ablate")),
            references=_map(spec.get("references")),
            seed_parameter=str(spec.get("seed_parameter") or "seed"),
            is_program=spec.get("program") is not None,
            lives=sweep.driver_lives(),
        )


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in _map(value).items()}
