"""The differences between the spec that a sweep ran with and the one that is to continue it.

Another order of a parameter's values or of the trials is a difference if trials are known by their
numbers alone, because it gives them to other configs. A grid knows its trials by their configs, an
ablation by their changes: it continues in another order, and with more values, named trials or
changes. If improvements are kept, each change is tried on top of others: their order counts.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from orchestrator.sweepfile.model.program import Program
from orchestrator.sweepfile.model.spec import Domain, Spec
from orchestrator.sweepfile.schema.options import all_options
from orchestrator.sweepfile.space.grid import MOST_JUDGED, Axis, canonical, grid_values

_HOLD_VALUES = ("fixed", "stage_set", "overrides", "set", "values", "baseline")
_LIKE_ANOTHER = re.compile(r"[-+.]?\d[\w.+-]*|true|false|null|")  # text that needs quotes
_ABSENT = object()
_DEFAULTS = json.loads(json.dumps(asdict(Program(path=""))))
_SHOWN = {
    "resumes": "continue",
    "low": "min",
    "high": "max",
    "gpu_memory_bytes": "gpu_memory (bytes)",
}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return a line for each difference of two `Spec.to_dict`; none if the sweep can continue."""
    before, after = _comparable(_as_whole(old, new)), _comparable(new)
    if all(spec.get("method", "grid") == "grid" for spec in (before, after)):
        _allow_more(before, after)
    if not _decides(new):
        _allow_seeds(before, after)
        _allow_metric(before, after)
    lines = list(_compare("", before, after))
    for key, was, now in (
        ("trials", before.get("trials"), after.get("trials")),
        ("ablate.changes", _changes(before), _changes(after)),
        ("stages", before["stages"], after["stages"]),
    ):
        names = [list(was or ()), list(now or ())]
        if names[0] != names[1] and sorted(names[0]) == sorted(names[1]):
            lines.append(f"{key}: their order was {_show(names[0])}, is {_show(names[1])}")
    return lines


def _as_whole(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the spec of a first stage that ran alone as if all stages were to follow."""
    stages = new.get("stages") or ()
    if new.get("stage") is None and stages and old.get("stage") == stages[0]["name"]:
        return {**old, "stage": None, "stage_set": {}}
    return old


def _allow_more(before: dict[str, Any], after: Mapping[str, Any]) -> None:
    """Take into `before` what `after` has more of: values, a wider range, named trials."""
    zips, now = after.get("zips") or (), after.get("parameters") or {}
    zipped = {name for group in zips for name in group}
    known = before.get("parameters") or {}
    for group in zips if zips == before.get("zips") else ():
        rows = _rows(known, group)
        if rows and set(rows) <= set(_rows(now, group)):
            for name in group:
                known[name]["values"] = now[name]["values"]
    for name in (known.keys() & now.keys()) - zipped:
        if _is_part(known[name], now[name]):
            known[name] = {**now[name], "when": known[name].get("when")}
    trials, more = before.get("trials") or {}, after.get("trials") or {}
    if trials and trials.keys() <= more.keys():
        before["trials"] = {name: trials.get(name, trial) for name, trial in more.items()}
    changes, wanted = _changes(before), _changes(after)
    is_ordered = (after.get("ablate") or {}).get("keep_improvements")
    is_longer = list(wanted)[: len(changes)] == list(changes)
    if changes and changes.keys() <= wanted.keys() and (is_longer or not is_ordered):
        before["ablate"]["changes"] = {name: changes.get(name, one) for name, one in wanted.items()}


def _allow_seeds(before: dict[str, Any], after: Mapping[str, Any]) -> None:
    """Take into `before` the seeds that `after` has at the end of its list, or has at all."""
    seeds, more = before.get("seeds") or [], after.get("seeds") or []
    if not more or more[: len(seeds)] != seeds:
        return
    if not seeds:  # the first one has to be that which all trials ran with
        fixed, name = before.get("fixed") or {}, after.get("seed_parameter", "seed")
        ran = before.get("seed") if before.get("trainer") and name == "seed" else more[0]
        if fixed.get(name, ran) != more[0]:
            return
        if name not in (after.get("fixed") or {}):
            fixed.pop(name, None)
        before.pop("seed_parameter", None)
        if name != "seed":
            before["seed_parameter"] = name
    before["seeds"] = more


def _allow_metric(before: dict[str, Any], after: Mapping[str, Any]) -> None:
    """Take into `before` another name of the metric if no trial was proposed or stopped by it."""
    was, metric = before.get("metric"), after.get("metric")
    judged = after.get("pruner", "none") != "none" or after.get("early_terminate")
    if after.get("method") == "bayes" or judged or after.get("objectives"):
        return
    if was and metric:
        was["name"] = metric["name"]


def _decides(spec: Mapping[str, Any]) -> bool:
    """Return whether a sweep decides about trials by results, which more seeds would change."""
    ablate = spec.get("ablate") or {}
    gates = [one.get("gate") for one in (ablate, *_changes(spec).values())]
    runs_stages = bool(spec.get("stages")) and spec.get("stage") is None
    return runs_stages or any(gates) or bool(ablate.get("keep_improvements"))


def _is_part(was: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether a grid takes all values of a parameter from another declaration too."""
    if was.get("distribution") == wanted.get("distribution") == "int_uniform":
        return bool(wanted["low"] <= was["low"] and was["high"] <= wanted["high"])
    found = []
    for given in (was, wanted):
        try:
            rows = grid_values(Domain(**{**given, "values": tuple(given.get("values") or ())}))
        except (TypeError, ValueError):  # of another release, or without steps
            return False
        if Axis(("",), rows).length > MOST_JUDGED:
            return False
        found.append(set(map(canonical, rows)))
    return found[0] <= found[1]


def _rows(parameters: Mapping[str, Any], group: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the values that parameters which are zipped have together."""
    columns = [(parameters.get(name) or {}).get("values") or () for name in group]
    return [tuple(map(canonical, row)) for row in zip(*columns, strict=False)]


def _changes(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return (spec.get("ablate") or {}).get("changes") or {}


def _comparable(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of a spec, without notes and what a moved folder changes."""
    free = [name for name, option in all_options().items() if option.may_change]
    kept = _without(json.loads(json.dumps(spec)), *_free(Spec), *free)
    if kept.get("method") != "bayes":  # else configs were proposed for the goal
        for metric in (kept.get("metric") or {}, *(kept.get("objectives") or ())):
            metric.pop("goal", None)
    for trial in (kept.get("trials") or {}).values():
        for text in ("note", "risk", "expect"):
            trial.pop(text, None)
    if isinstance(kept.get("program"), dict):
        kept["program"] = _program(kept["program"])
    if kept.get("seed_parameter") == "seed":
        del kept["seed_parameter"]
    # A stage that runs alone depends on no other; who is promoted is decided again.
    stages = (kept.get("stages") or ()) if kept.get("stage") is None else ()
    kept["stages"] = {stage["name"]: _without(stage, "name", "promote") for stage in stages}
    for entry in (kept.get("ablate") or {}, *_changes(kept).values()):
        entry.pop("gate", None)
        entry.pop("note", None)
    fixed = kept.get("fixed") or {}
    if fixed.get("seed") == kept.get("seed"):
        fixed.pop("seed", None)  # the sweep's seed, which is compared already
    return kept


def _free(kind: type) -> list[str]:
    """Return the fields of a dataclass that may change."""
    return [item.name for item in fields(kind) if item.metadata.get("may_change")]


def _without(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in names}


def _program(program: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts of a program; a field that an older release lacks is at its default."""
    workdir = program.get("workdir", "")
    folder = program.get("folder") or workdir
    kept = {
        key: value
        for key, value in _without(program, *_free(Program)).items()
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


def side_by_side(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return key and both values, as text, of each difference of two `Spec.to_dict`.

    Everything counts that the files set, also notes; None is of a key that a file does not set.
    """
    before, after = (
        _without(json.loads(json.dumps(spec)), "path", "private") for spec in (old, new)
    )
    for spec in (before, after):
        spec["stages"] = {
            stage["name"]: _without(stage, "name") for stage in spec.get("stages") or ()
        }
        if isinstance(spec.get("program"), dict):
            spec["program"] = _program(spec["program"])
    return list(_changed("", before, after))


def _compare(key: str, old: Any, new: Any) -> Iterator[str]:
    """Yield the differences below `key` in words."""
    for name, before, after in _changed(key, old, new):
        was = "was not set" if before is None else f"was {before}"
        yield f"{name}: {was}, {'is not set' if after is None else f'is {after}'}"


def _changed(
    key: str, old: Any, new: Any, strict: bool = False
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield the key and both values, as text, of each difference below `key`.

    None is of what is not set; `strict` if null is a value of a parameter.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            below = f"{key}.{_SHOWN.get(name, name)}" if key else name
            inside = strict or name in _HOLD_VALUES
            yield from _changed(below, old.get(name, _ABSENT), new.get(name, _ABSENT), inside)
        return
    was_set, is_set = (
        value is not _ABSENT and (strict or not _is_empty(value)) for value in (old, new)
    )
    # 1 and 1.0 are the same but for the values of a grid, 1 and True are not, NaN is NaN.
    are_values = strict and isinstance(old, list) and len(old) > 1
    before, after = (canonical(value, whole_is_int=not are_values) for value in (old, new))
    if before != after and (was_set or is_set):
        yield key, _show(old) if was_set else None, _show(new) if is_set else None


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, list | dict | str) and not value)


def _show(value: Any) -> str:
    """Return a value for people, without what is not set in it."""
    if isinstance(value, dict):
        set_values = {name: item for name, item in value.items() if not _is_empty(item)}
        inner = (f"{_SHOWN.get(name, name)}: {_show(item)}" for name, item in set_values.items())
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_show, value))}]"
    if value is None:
        return "null"
    if isinstance(value, str) and _LIKE_ANOTHER.fullmatch(value):
        return f"'{value}'"
    return str(value).lower() if isinstance(value, bool) else str(value)
