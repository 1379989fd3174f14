"""Which metrics there are: those of any arrays, and those that trainers declare for their data.

A run's ``metadata.json`` names the kind of its arrays: ``{"kind": "decay_curve", "rate_hz": 500}``.
Every kind gets the metrics of any arrays; the kind of a trainer (``DATA_KIND`` in ``config.py``)
also gets what its ``metrics.py`` declares: ``evaluate(predictions, targets, **data)`` and
``GOALS``, both without torch. Sequences of unequal length (``SEQUENCES``) get only those.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from orchestrator.errors import UsageError, nearest
from orchestrator.files import discover
from orchestrator.files.direction import Goal, named_goal
from orchestrator.files.series_names import SPLIT_WORDS
from orchestrator.metrics.metric import ArrayProblem, Metric, Pair
from orchestrator.metrics.own import OWN, own_metric, own_named, source_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[Any] | list[NDArray[Any]]

_TRAINERS: Final = "trainers"
_REGRESSION: Final = "orchestrator.metrics.regression"

_IN_DECIBELS: Final = frozenset({"psnr", "snr", "sdr", "sisdr"})
_ONLY_ASKED: Final = " A function is only taken from --metrics of the command line."
_SPLIT: Final = re.compile(rf"^(?:{'|'.join(SPLIT_WORDS)})[_/.]", re.IGNORECASE)


@dataclass(frozen=True)
class _Trainer:
    """A trainer that ships: its name, the kind of its data, and what it declares of metrics."""

    name: str
    kind: str

    @cached_property
    def module(self) -> ModuleType:
        """Its ``metrics.py``."""
        return importlib.import_module(f"{_TRAINERS}.{self.name}.metrics")

    @property
    def has_sequences(self) -> bool:
        return bool(getattr(self.module, "SEQUENCES", False))

    def unit(self, metric: str) -> str | None:
        """Return the unit of a metric that it reports, also of one of any arrays; else None."""
        config = importlib.import_module(f"{_TRAINERS}.{self.name}.config")
        reported = getattr(config, "METRICS", {}).get(f"val_{metric}")
        return None if reported is None else str(reported.unit)


def kind_names() -> list[str]:
    """Return what a user may type for a kind: kinds, and the trainers that have them."""
    found = _by_kind()
    return sorted([*found, *(trainer.name for trainer in found.values())])


def resolve_kind(name: str, where: str = "--metrics") -> str:
    """Return the kind that `name` means: a kind, or the name of a trainer.

    Raises:
        UsageError: there is no such kind; the message begins with `where`.
    """
    trainer = trainer_of(name)
    if trainer is None:
        names = kind_names()
        raise UsageError(
            f"{where}: no data of the kind {name!r} are known (known: {', '.join(names)})."
            f"{nearest(name, names) or _ONLY_ASKED * (':' in name)}"
        )
    return trainer.kind


def asked_for(
    metrics: str | None, rate_hz: float | None, where: str = "--metrics"
) -> tuple[str | None, dict[str, Any]]:
    """Return the kind and what else is known of arrays that a user describes.

    Args:
        metrics: a kind or the name of a trainer, functions as ``module:function``, or both with
            commas.
        rate_hz: samples per second.

    Raises:
        UsageError: there is no such kind or function, or the rate is missing or no rate.
    """
    if rate_hz is not None and not (math.isfinite(rate_hz) and rate_hz > 0):
        raise UsageError(f"--rate: {rate_hz:g} is not above 0 samples per second.")
    texts = [text.strip() for text in (metrics or "").split(",") if text.strip()]
    kinds = list(dict.fromkeys(resolve_kind(text, where) for text in texts if ":" not in text))
    if len(kinds) > 1:
        raise UsageError(f"{where}: arrays are of one kind (found {', '.join(kinds)}).")
    if rate_hz is not None and not kinds:
        raise UsageError(
            "--rate needs --metrics. Give the kind of the arrays too, as `--metrics edc`."
        )
    if "decay_curve" in kinds and rate_hz is None:
        raise UsageError(
            f"{where} {metrics} needs --rate. "
            "Give the samples per second of the curves, as `--rate 48000`."
        )
    own = {text: source_of(own_metric(text, where)) for text in texts if ":" in text}
    data: dict[str, Any] = {} if rate_hz is None else {"rate_hz": rate_hz}
    return (kinds[0] if kinds else None), {**data, OWN: own} if own else data


def known_metrics(kind: str | None = None) -> dict[str, Metric]:
    """Return the metrics of a kind (or trainer) by name, in the order of a table's columns.

    None stands for any two arrays of one shape.
    """
    trainer = trainer_of(kind)
    found: dict[str, Metric] = {}
    if trainer is None or not trainer.has_sequences:
        found = {metric.name: metric for metric in regression_records()}
    if trainer is not None:
        sources, how = (getattr(trainer.module, name, {}) for name in ("SOURCES", "RESAMPLED"))
        for name, way in getattr(trainer.module, "GOALS", {}).items():
            known = found.get(name, Metric(name, way, resampled=how.get(name, "")))
            unit, source = trainer.unit(name) or "", sources.get(name, known.source)
            found[name] = replace(known, goal=way, unit=unit, source=source)
    return found


def regression_metrics(predictions: NDArray[Any], targets: NDArray[Any]) -> dict[str, float]:
    """Return the metrics in `regression` over all elements, whatever the shape.

    ``mae``, ``rmse`` and ``r2`` are NaN for empty arrays, or if either array contains NaN.

    Raises:
        ArrayProblem: the shapes differ.
    """
    pair = Pair(predictions, targets)
    return {
        metric.name: metric.function(pair)
        for metric in regression_records()
        if metric.function is not None
    }


def evaluate(
    kind: str | None, predictions: Samples, targets: Samples, data: Mapping[str, Any]
) -> dict[str, float]:
    """Return all metrics of predictions and targets: those of any arrays, then those of the kind.

    Args:
        kind: what the arrays are; None, or a kind that is unknown here, gets the former only.
        predictions: [N, ...], checked by `check_pair`, or N sequences,
            which have only metrics of their kind.
        targets: of the same shape, or N sequences too.
        data: what else is known about the arrays, as ``rate_hz``; may contain more than needed.

    Raises:
        ArrayProblem: the shapes differ, the kind's metrics need something that `data` lacks
            or cannot use what it holds, or sequences are of a kind without metrics of its own.
    """
    trainer = trainer_of(kind)
    found: dict[str, float] = {}
    if isinstance(predictions, list) or isinstance(targets, list):
        if trainer is None or not trainer.has_sequences:
            able = " or ".join(name for name, one in _by_kind().items() if one.has_sequences)
            known = "unknown" if trainer is None else trainer.kind
            raise ArrayProblem(
                f"sequences of unequal length need a kind with metrics for them ({able}), "
                f"but their kind is {known}"
            )
    elif trainer is not None and trainer.has_sequences:
        raise ArrayProblem(
            f"metrics of {trainer.kind} need sequences, but predictions_lengths.npy and "
            "targets_lengths.npy are missing"
        )
    else:
        found = regression_metrics(predictions, targets)
    if trainer is None:
        return found
    function = trainer.module.evaluate
    wanted = list(inspect.signature(function).parameters.values())[2:]
    required = (p for p in wanted if p.default is p.empty and p.kind is not p.VAR_KEYWORD)
    missing = [parameter.name for parameter in required if parameter.name not in data]
    if missing:
        raise ArrayProblem(
            f"metrics of a {trainer.kind} need {', '.join(missing)}, which nothing states"
        )
    accepted = {p.name: data[p.name] for p in wanted if p.name in data}
    try:
        return {**found, **function(predictions, targets, **accepted)}
    except (ValueError, TypeError) as error:
        raise ArrayProblem(f"metrics of a {trainer.kind}: {error}") from error


def goal(metric: str, kind: str | None = None) -> Goal | None:
    """Return which way `metric` is better; None if nothing shows it.

    What the kind declares comes first, then the name. The split before the name (``val_t20_r2``)
    does not matter.
    """
    bare = _SPLIT.sub("", metric)
    known = known_metrics(kind).get(bare) or own_named(bare)
    return named_goal(metric) if known is None else known.goal


def unit(metric: str, kind: str | None = None) -> str:
    """Return the unit of `metric`, as ``"dB"``; "" if unknown. The split does not matter."""
    bare = _SPLIT.sub("", metric)
    trainer = trainer_of(kind)
    reported = trainer.unit(bare) if trainer is not None else None
    if reported is not None:
        return reported
    known = known_metrics().get(bare) or own_named(bare)
    if known is not None and known.unit:
        return known.unit
    return "dB" if _parts(bare) & _IN_DECIBELS and "/" not in metric else ""


def _parts(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))


def trainer_of(name: str | None) -> _Trainer | None:
    """Return the trainer with a kind of data or with a name; None if there is none."""
    if name is None:
        return None  # before any trainer is loaded
    found = _by_kind()
    by_name = {trainer.name: trainer for trainer in found.values()}
    return found.get(name) or by_name.get(name)


# Both tables are kept for the folders that they were read from: a package may get another one.
def regression_records() -> tuple[Metric, ...]:
    """Return the metrics of any two arrays of one shape, in the order of a table's columns."""
    return _regression_in(tuple(importlib.import_module(_REGRESSION).__path__))


@cache
def _regression_in(folders: tuple[str, ...]) -> tuple[Metric, ...]:
    found: Iterator[Metric] = discover.records(_REGRESSION, "METRIC")
    return tuple(sorted(found, key=lambda metric: metric.order))


def _by_kind() -> dict[str, _Trainer]:
    return _by_kind_in(tuple(importlib.import_module(_TRAINERS).__path__))


@cache
def _by_kind_in(folders: tuple[str, ...]) -> dict[str, _Trainer]:
    found: dict[str, _Trainer] = {}
    for item in pkgutil.iter_modules(folders):
        if not item.ispkg:
            continue
        try:
            if importlib.util.find_spec(f"{_TRAINERS}.{item.name}.metrics") is None:
                continue
            config = importlib.import_module(f"{_TRAINERS}.{item.name}.config")
        except Exception:  # a trainer that does not load declares nothing; `sweep check` reports it
            continue
        kind = str(getattr(config, "DATA_KIND", None) or "")
        if kind:
            found.setdefault(kind, _Trainer(item.name, kind))
    return found
