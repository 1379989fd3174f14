"""What differs between the spec that a sweep ran with and the one that it is asked to go on with.

What may change without harm (more trials, other targets, another text) is no difference, nor is
another order of keys. Another order of a parameter's values or of the trials is one, because it
gives the numbers of the trials to other configs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.spec.choices import canonical

_FREE = ("run_cap", "targets", "description", "path", "warnings", "budget")
_VALUES = ("fixed", "stage_set", "overrides", "set", "values")  # what holds parameter values
_ABSENT = object()
_WORDS = {"low": "min", "high": "max", "gpu_memory_bytes": "gpu_memory (bytes)"}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return a line for each difference between two specs, none where a sweep may go on.

    Args:
        old: `Spec.to_dict` of then, also after a way through JSON.
        new: `Spec.to_dict` of now.
    """
    before, after = _comparable(old), _comparable(new)
    lines = list(_compare("", before, after))
    trials = [list(spec.get("trials") or {}) for spec in (before, after)]
    if trials[0] != trials[1] and sorted(trials[0]) == sorted(trials[1]):
        lines.append(f"trials: their order was {_show(trials[0])}, is {_show(trials[1])}")
    return lines


def _comparable(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of a spec, without mere words and what a moved folder changes."""
    kept = {key: _json(value) for key, value in spec.items() if key not in _FREE}
    for trial in (kept.get("trials") or {}).values():
        for words in ("note", "risk", "expect"):
            trial.pop(words, None)
    program = kept.get("program")
    if isinstance(program, dict):
        folder = program.pop("workdir", "")
        for key in ("path", "python"):
            path = program.get(key)
            if isinstance(path, str) and folder and path.startswith(os.path.join(folder, "")):
                program[key] = os.path.relpath(path, folder)
    fixed = kept.get("fixed")
    if isinstance(fixed, dict) and fixed.get("seed") == kept.get("seed"):
        fixed.pop("seed", None)  # the sweep's seed, which is compared already
    return kept


def _json(value: Any) -> Any:
    """Return a value as a way through JSON leaves it."""
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return value


def _compare(key: str, old: Any, new: Any, strict: bool = False) -> Iterator[str]:
    """Yield the differences below `key`; `strict` where null is a value of a parameter."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            below = f"{key}.{_WORDS.get(name, name)}" if key else name
            inside = strict or name in _VALUES
            yield from _compare(below, old.get(name, _ABSENT), new.get(name, _ABSENT), inside)
    elif _same(old, new) or (not strict and _empty(old) and _empty(new)):
        return
    elif old is _ABSENT or (not strict and _empty(old)):
        yield f"{key}: was not set, is {_show(new)}"
    elif new is _ABSENT or (not strict and _empty(new)):
        yield f"{key}: was {_show(old)}, is not set"
    else:
        yield f"{key}: was {_show(old)}, is {_show(new)}"


def _same(old: Any, new: Any) -> bool:
    """Tell whether two values are the same; 1 and True are not, NaN is NaN."""
    return bool(canonical(old) == canonical(new))


def _empty(value: Any) -> bool:
    return value is _ABSENT or value is None or (isinstance(value, list | dict | str) and not value)


def _show(value: Any) -> str:
    """Return a value for people, without what is not set in it."""
    if isinstance(value, dict):
        inner = (f"{_WORDS.get(k, k)}: {_show(v)}" for k, v in value.items() if not _empty(v))
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_show, value))}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
