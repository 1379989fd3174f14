"""The differences between the spec that a sweep ran with and the one that is to continue it.

What may change without harm (more trials, other targets, another gate, another text) is no
difference, nor is another order of keys. Another order of a parameter's values or of the trials is
one, because it gives the numbers of the trials to other configs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

from orchestrator.sweepfile.model.program import Program
from orchestrator.sweepfile.model.spec import Spec
from orchestrator.sweepfile.space.grid import canonical

_HOLD_VALUES = ("fixed", "stage_set", "overrides", "set", "values", "baseline")
_OF_STAGE = ("name", "promote")  # who is promoted is decided again
_ABSENT = object()
_DEFAULTS = json.loads(json.dumps(asdict(Program(path=""))))
_SHOWN = {
    "resumes": "continue",
    "low": "min",
    "high": "max",
    "gpu_memory_bytes": "gpu_memory (bytes)",
}


def _unchanging(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what may not change, of the fields of a dataclass as JSON holds them."""
    free = {item.name for item in fields(kind) if item.metadata.get("may_change")}
    return {key: value for key, value in values.items() if key not in free}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return a line for each difference between two specs, none if the sweep can continue.

    Args:
        old: `Spec.to_dict` of then, also after a round trip through JSON.
        new: `Spec.to_dict` of now.
    """
    before, after = _comparable(old), _comparable(new)
    lines = list(_compare("", before, after))
    for path in (("trials",), ("ablate", "changes"), ("stages",)):
        key = ".".join(path)
        names = [list(_at(spec, path)) for spec in (before, after)]
        if names[0] != names[1] and sorted(names[0]) == sorted(names[1]):
            lines.append(f"{key}: their order was {_show(names[0])}, is {_show(names[1])}")
    return lines


def _at(spec: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the mapping at a path; {} if there is none."""
    for key in path:
        spec = spec.get(key) or {}
    return spec


def _comparable(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of a spec, without notes and what a moved folder changes."""
    kept = {key: _json(value) for key, value in _unchanging(Spec, spec).items()}
    for trial in (kept.get("trials") or {}).values():
        for text in ("note", "risk", "expect"):
            trial.pop(text, None)
    if isinstance(kept.get("program"), dict):
        kept["program"] = _program(kept["program"])
    if kept.get("seed_parameter") == "seed":
        kept.pop("seed_parameter", None)
    if kept.get("stage") is not None:
        kept.pop("stages", None)  # the others have no part in it
    kept["stages"] = {
        stage["name"]: {key: value for key, value in stage.items() if key not in _OF_STAGE}
        for stage in kept.get("stages") or ()
    }
    ablate = kept.get("ablate")
    if isinstance(ablate, dict):
        for entry in (ablate, *ablate.get("changes", {}).values()):
            entry.pop("gate", None)
            entry.pop("note", None)
    fixed = kept.get("fixed")
    if isinstance(fixed, dict) and fixed.get("seed") == kept.get("seed"):
        fixed.pop("seed", None)  # the sweep's seed, which is compared already
    return kept


def _program(program: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of a program; a field that an older release lacks is at its default."""
    workdir = program.get("workdir", "")
    folder = program.get("folder") or workdir
    kept = {
        key: value
        for key, value in _unchanging(Program, program).items()
        if value != _DEFAULTS.get(key, _ABSENT)
    }
    kept["workdir"] = os.path.relpath(workdir, folder) if folder else workdir
    for key in ("path", "python", "conda"):
        path = kept.get(key)
        if isinstance(path, str) and folder and path.startswith(os.path.join(folder, "")):
            kept[key] = os.path.relpath(path, folder)
    source = (kept.get("params_file") or {}).get("source")
    if source and folder:
        kept["params_file"] = {**kept["params_file"], "source": os.path.relpath(source, folder)}
    return kept


def _json(value: Any) -> Any:
    """Return a value as a round trip through JSON leaves it."""
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return value


def _compare(key: str, old: Any, new: Any, strict: bool = False) -> Iterator[str]:
    """Yield the differences below `key`; `strict` if null is a value of a parameter."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            below = f"{key}.{_SHOWN.get(name, name)}" if key else name
            inside = strict or name in _HOLD_VALUES
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
    """Return whether two values are the same; 1 and True are not, NaN is NaN."""
    return bool(canonical(old) == canonical(new))


def _empty(value: Any) -> bool:
    return value is _ABSENT or value is None or (isinstance(value, list | dict | str) and not value)


def _show(value: Any) -> str:
    """Return a value for people, without what is not set in it."""
    if isinstance(value, dict):
        inner = (f"{_SHOWN.get(k, k)}: {_show(v)}" for k, v in value.items() if not _empty(v))
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_show, value))}]"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
