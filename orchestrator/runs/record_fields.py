"""Check the fields of a record: a stranger, or a damaged disk, may have written it."""

from __future__ import annotations

import functools
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from orchestrator.files import jsonl, plain

# Of a whole number: beyond it a float is not exact, and times and sizes cannot be computed.
_LARGEST = 1 << 53
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_NAMES |= {dict: "a mapping", list: "a list"}

# Of the mappings in a record: what is read of them, with its types.
_INSIDE: dict[str, dict[str, Any]] = {
    "slot": {"index": int, "node": str, "device": str, "memory_mib": int, "threads": int},
    "need": {"memory_mib": int, "source": str, "peak_mib": int, "retries": int, "alone": bool},
    "note": {"note": str, "risk": str, "expect": str | dict},
    "change": {"name": str, "set": dict},
    "placement": {"waiting": dict, "growth": dict, "fallback": str},
}

_SPEC: dict[str, Any] = {
    **dict.fromkeys(("metric", "targets", "expect", "parameters", "trials", "fixed"), dict),
    **dict.fromkeys(
        ("tiers", "references", "lr_schedule", "ablate", "program", "divergence"), dict
    ),
    **dict.fromkeys(("objectives", "stages"), list),
    **dict.fromkeys(("name", "seed_parameter"), str),
    "success": list[str],
    "phases": list[int],
}


def checked(kind: type, raw: Mapping[str, Any]) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the good fields of a dataclass, and a sentence for each bad one.

    Unknown fields are left out, and a bad one that has a default. None instead of fields if one
    that has no default is bad or missing, or the state is not one of its kind.
    """
    if jsonl.is_deeper(raw, jsonl.DEEPEST):
        return None, ["it is nested too deeply"]
    found: dict[str, Any] = {}
    problems = []
    hints = _hints(kind)
    is_whole = True
    for one in fields(kind):
        has_default = one.default is not MISSING or one.default_factory is not MISSING
        if one.name not in raw:
            is_whole = is_whole and has_default
            continue
        value = plain(raw[one.name])
        if _fits(value, hints[one.name]) and (not one.name.endswith("_at") or _is_time(value)):
            found[one.name] = value
        else:
            wanted = " or ".join(dict.fromkeys(map(_name, _members(hints[one.name]))))
            shown = json.dumps(value, ensure_ascii=False)[:40]
            problems.append(f"{one.name} is not {wanted} (found {shown})")
            is_whole = is_whole and has_default and one.name != "state"
    for name, inside in _INSIDE.items():
        if isinstance(found.get(name), dict):
            found[name] = _cleaned(found[name], inside)
    return (found if is_whole else None), problems


def checked_spec(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a saved spec that are of the type that readers expect."""
    if jsonl.is_deeper(raw, jsonl.DEEPEST):
        return {}
    found = {
        key: value
        for key, value in plain(raw).items()
        if value is None or key not in _SPEC or _fits(value, _SPEC[key])
    }
    for key in ("metric", "objectives", "trials", "stages"):
        entries = found.get(key) or {}
        if key == "metric":
            entries = [entries]
        elif isinstance(entries, dict):
            entries = list(entries.values())
        if not all(_is_entry(entry) for entry in entries):
            del found[key]
    return found


def _is_entry(entry: Any) -> bool:
    """Return whether an entry of a saved spec has a text as its name, a goal, and settings."""
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("name") or "", str)
        and entry.get("goal") in (None, "minimize", "maximize")
        and isinstance(entry.get("set") or {}, dict)
    )


def _cleaned(value: dict[str, Any], inside: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: item
        for key, item in value.items()
        if key not in inside or item is None or _fits(item, inside[key])
    }


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _members(hint: Any) -> tuple[Any, ...]:
    is_union = isinstance(hint, types.UnionType)
    return tuple(typing.get_args(hint)) if is_union else (hint,)


def _name(hint: Any) -> str:
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return " or ".join(hint)
    return _NAMES.get(typing.get_origin(hint) or hint, "null")


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value of JSON is of a type as fields have it."""
    return any(_is(value, one) for one in _members(hint))


def _is(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint) or hint
    if hint is types.NoneType:
        return value is None
    if issubclass(origin, StrEnum):
        return value in list(origin)
    if hint == list[str]:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if isinstance(value, int) and origin in (int, float):
        return not isinstance(value, bool) and abs(value) <= _LARGEST
    return isinstance(value, origin)


def _is_time(value: Any) -> bool:
    if value is None:
        return True
    try:
        moment = datetime.fromisoformat(value)
        moment.timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        return False
    return moment.tzinfo is not None and 1970 < moment.year < 9000
