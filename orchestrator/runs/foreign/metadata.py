"""The metadata and metrics in a run folder, in any shape; what cannot be read is empty."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from orchestrator.files import jsonl, regular
from orchestrator.runs.curves.cells import number
from orchestrator.runs.foreign.run_files import GROUP_KEYS

NEEDED = ("predictions.npy", "targets.npy")
VALIDATION = ("val_predictions.npy", "val_targets.npy")

_STEMS = {"predictions", "targets", "val_predictions", "val_targets", "metadata", "metrics"}
_SUFFIXES = {
    *(".npy", ".npz", ".pt", ".pth", ".pkl", ".pickle", ".h5", ".hdf5", ".mat", ".parquet"),
    *(".json", ".jsonl", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".txt"),
}
_CONFIG_KEYS = ("config", "hyperparameters", "hparams", "params", "parameters", "args")
_METRIC_KEYS = ("metrics", "final_metrics", "test_metrics", "results", "summary")
# Deep enough for any config that a user wrote, shallow enough for the interpreter's stack.
_DEEPEST = 12
_NOT_FINITE = ("nan", "inf", "-inf", "infinity", "-infinity")


def is_run_file(name: str) -> bool:
    """Return whether a file of that name makes its folder a run folder, in any usual format."""
    stem, dot, suffix = name.rpartition(".")
    return stem in _STEMS and dot + suffix.lower() in _SUFFIXES


def other_formats(names: Collection[str]) -> list[str]:
    """Return the arrays among the file `names` that replace a needed one in another format."""
    stems = {needed.removesuffix(".npy") for needed in NEEDED if needed not in names}
    return sorted(name for name in names if is_run_file(name) and name.rpartition(".")[0] in stems)


def read_object(path: Path) -> tuple[dict[str, Any], str | None]:
    """Return the object in a JSON file ({} if it is missing), and why it cannot be read, if so."""
    if not os.path.isfile(path):
        return {}, None
    try:
        # Windows tools like to start a file with a byte order mark.
        value = json.loads(regular.read_bytes(path, path.parent).decode("utf-8-sig"))
    except OSError as error:
        return {}, str(error.strerror or error)
    except UnicodeDecodeError:
        return {}, "it is not UTF-8 text"
    except json.JSONDecodeError as error:
        return {}, f"it is not JSON, see line {error.lineno}"
    except (ValueError, RecursionError):  # a number or a nesting beyond all bounds
        return {}, "it is not JSON that any tool reads"
    if isinstance(value, dict):
        return value, None
    return {}, None if value is None else "it must hold a JSON object"


def config_of(metadata: Mapping[str, Any], *, is_config: bool = False) -> dict[str, Any]:
    """Return the config in `metadata`, nested maps flattened with dots.

    It is the first map of the names that tools use (``config``, ``params``, ``args``, ...); without
    one, all plain values outside the maps of metrics, or everything in a file that `is_config`.
    """
    for key in _CONFIG_KEYS:
        value = metadata.get(key)
        if isinstance(value, Mapping) and value:
            return flatten(value)
    if is_config:
        return flatten(metadata)
    skipped = {*_METRIC_KEYS, "data"} if data_of(metadata) else set(_METRIC_KEYS)
    kept = {
        key: value
        for key, value in metadata.items()
        if not (isinstance(value, Mapping) and key in skipped)
    }
    return {k: value for k, value in flatten(kept).items() if isinstance(value, str | int | float)}


def data_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `metadata` states about its arrays, empty unless it names kind or groups."""
    data = metadata.get("data")
    keys = ("kind", *GROUP_KEYS)
    if isinstance(data, Mapping) and any(isinstance(data.get(key), str) for key in keys):
        return {str(key): value for key, value in data.items()}
    return {}


def warnings_of(metadata: Mapping[str, Any]) -> list[str]:
    """Return the warnings that `metadata` lists."""
    found = metadata.get("warnings")
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def logged_metrics(folder: Path, metadata: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers that the run itself logged last, flattened with dots.

    Later sources win: maps such as ``final_metrics`` in `metadata`, ``metrics.json``, the last line
    of ``metrics.jsonl``.
    """
    sources = [metadata.get(key) for key in _METRIC_KEYS]
    sources.append(read_object(folder / "metrics.json")[0])
    log = folder / "metrics.jsonl"
    last = (jsonl.read_last(log) if os.path.isfile(log) else None) or {}
    inner = last.get("metrics")
    sources.append(inner if isinstance(inner, Mapping) else last)
    found: dict[str, float] = {}
    for source in sources:
        found |= numbers(source) if isinstance(source, Mapping) else {}
    return found


def numbers(mapping: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers in `mapping`, nested ones with dots; text counts only if not finite."""
    found = {
        name: number(value)
        for name, value in flatten(mapping).items()
        if not isinstance(value, str) or value.lower() in _NOT_FINITE
    }
    return {name: value for name, value in found.items() if value is not None}


def flatten(mapping: Mapping[Any, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Return `mapping` with nested maps flattened: ``{"a": {"b": 1}}`` gives ``{"a.b": 1}``.

    A map of only ``value`` and ``desc`` is how W&B writes one value; it becomes that value.
    If two paths make one name, the later wins.
    """
    found: dict[str, Any] = {}
    for key, item in mapping.items():
        if isinstance(item, Mapping) and "value" in item and set(item) <= {"value", "desc"}:
            item = item["value"]  # noqa: PLW2901  (the same value, unwrapped)
        if isinstance(item, Mapping) and item and depth < _DEEPEST:
            found |= flatten(item, f"{prefix}{key}.", depth + 1)
        else:
            found[f"{prefix}{key}"] = _cut(item, depth)
    return found


def _cut(value: Any, depth: int) -> Any:
    """Return `value` with what is nested too deeply replaced by an ellipsis."""
    if not isinstance(value, Mapping | list):
        return value
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {key: _cut(item, depth + 1) for key, item in value.items()}
    return [_cut(item, depth + 1) for item in value]
