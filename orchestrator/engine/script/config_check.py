"""Comparing the config that was sent with what the script itself recorded.

A script may silently drop, rename or override an argument.
"""

from __future__ import annotations

import ast
import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

# Parts of metadata that hold how the run was set up ...
_SETTINGS = {
    *("args", "arguments", "cfg", "cli_args", "command_line", "conf", "config", "configuration"),
    *("effective", "hparams", "hyper_parameters", "hyperparameters", "hyperparams", "options"),
    *("opt", "parameters", "params", "settings", "training", "train", "optimizer", "model", "loss"),
}
# ... and parts that hold something else under the same names: curves, results, other runs.
_OTHER = {
    *("best", "best_params", "curves", "default", "defaults", "final", "history", "log", "logs"),
    *("metrics", "previous", "result", "results", "scores", "summary", "sweep", "targets"),
}
_DEEPEST = 12
_TEXTS = {"none": None, "null": None, "true": True, "false": False}
_SWITCHES = {"yes": True, "on": True, "no": False, "off": False}

Place = tuple[tuple[str, ...], Any]
"""The normalised path to a recorded value, and the value."""


def differences(asked: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    """Return one line for each parameter that was recorded with another value than requested.

    Names are equal up to ``-``/``_`` and case; ``optim.lr`` also finds ``lr`` in a map ``optim``.
    Numbers are equal up to 1e-6 of the value (what single precision loses). Parameters that were
    not recorded at all make no line.
    """
    places = list(_leaves(recorded))
    lines = []
    for name in sorted(asked):
        other = [value for value in _values_of(name, places) if not same(asked[name], value)]
        if other:
            lines.append(f"asked {name} {_show(asked[name])}, recorded {_show(other[0])}")
    return lines


def agreements(asked: Mapping[str, Any], recorded: Mapping[str, Any]) -> int:
    """Return how many parameters were recorded with the requested value."""
    places = list(_leaves(recorded))
    found = [(value, _values_of(name, places)) for name, value in asked.items()]
    return sum(
        bool(values) and all(same(value, each) for each in values) for value, values in found
    )


def same(asked: Any, recorded: Any) -> bool:
    """Return whether two values mean the same, whatever types a command line made of them."""
    asked, recorded = _read(asked), _read(recorded)
    if isinstance(asked, bool) or isinstance(recorded, bool):
        return _truth(asked) is not None and _truth(asked) == _truth(recorded)
    if isinstance(asked, int | float) and isinstance(recorded, int | float):
        both_nan = math.isnan(asked) and math.isnan(recorded)
        return both_nan or math.isclose(asked, recorded, rel_tol=1e-6, abs_tol=1e-12)
    if isinstance(asked, Mapping) and isinstance(recorded, Mapping):
        folded = {_key(str(key)): value for key, value in recorded.items()}
        return all(
            same(value, recorded.get(key, folded.get(_key(str(key)), value)))
            for key, value in asked.items()
        )
    if isinstance(asked, list) and isinstance(recorded, list):
        return len(asked) == len(recorded) and all(map(same, asked, recorded))
    if isinstance(asked, list) and len(asked) == 1:
        return same(asked[0], recorded)
    if isinstance(asked, str) and isinstance(recorded, str):
        return _same_text(asked, recorded)
    return asked is None and recorded is None


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[Place]:
    """Yield every named value with the normalised path to it, maps included."""
    if not isinstance(value, Mapping) or len(path) >= _DEEPEST:
        return
    for key, item in value.items():
        here = (*path, _key(str(key)))
        if isinstance(item, Mapping) and "value" in item and len(item) <= 2:
            item = item["value"]  # noqa: PLW2901  (W&B writes {name: {value: ..., desc: ...}})
        yield here, item
        yield from _leaves(item, here)


def _values_of(name: str, places: list[Place]) -> list[Any]:
    """Return the recorded values of a parameter; only those among settings if there are any."""
    endings = {tuple(_key(part) for part in name.split(".")), (_key(name),)}
    found = []
    for path, value in places:
        for ending in endings:
            above = set(path[: -len(ending)])
            if path[-len(ending) :] == ending and not above & _OTHER:
                found.append((not above or bool(above & _SETTINGS), value))
    settings = [value for is_setting, value in found if is_setting]
    return settings or [value for _, value in found]


def _key(name: str) -> str:
    return name.strip().lstrip("-").lower().replace("-", "_").replace(" ", "_")


def _read(value: Any) -> Any:
    """Return `value` in plain types, strings parsed."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, tuple):
        return list(value)
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.lower() in _TEXTS:
        return _TEXTS[text.lower()]
    try:
        return float(text)
    except ValueError:
        pass
    if text[:1] in ("[", "(", "{"):
        for reader in (json.loads, ast.literal_eval):
            try:
                return _read(reader(text))
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return text


def _truth(value: Any) -> bool | None:
    if isinstance(value, str):
        return _SWITCHES.get(value.lower())
    return bool(value) if isinstance(value, bool) or value in (0, 1) else None


def _same_text(asked: str, recorded: str) -> bool:
    if asked.lower() == recorded.lower():
        return True
    # A script may record a path as the absolute one that it opened.
    path = os.path.normpath(asked)
    return os.path.isabs(recorded) and os.path.normpath(recorded).endswith(os.sep + path)


def _show(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
