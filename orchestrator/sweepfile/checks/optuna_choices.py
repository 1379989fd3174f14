"""``sampler`` and ``pruner``: which of Optuna's classes, with which options."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.model.course import Sampler
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.space.optuna_options import (
    PRUNERS,
    SAMPLERS,
    UNWRITABLE,
    PrunerRecord,
    SamplerRecord,
)
from orchestrator.sweepfile.yaml.node import Node, found

_WRAPPED = "wrapped_pruner"
_OTHER_NAMES = {
    **dict.fromkeys(("asha", "sha"), "successive_halving"),
    **dict.fromkeys(("no", "nop"), "none"),
    **dict.fromkeys(("gaussianprocess", "bayesian"), "gp"),
    **dict.fromkeys(("sobol", "halton", "quasimontecarlo"), "qmc"),
}
Record = TypeVar("Record", SamplerRecord, PrunerRecord)


def read_sampler(file: ParsedFile) -> Sampler | None:
    """Return the sampler of ``bayes``; None if the file does not name a valid one."""
    node = file.values.get("sampler")
    read = None if node is None else _choice(file, node, ("sampler",), SAMPLERS)
    if read is None:
        return None
    name, chosen, record = read
    if file.method != "bayes":
        message = f"needs method bayes (found {file.method}). Write method: bayes, or remove it."
        file.error(message, "sampler")
    if len(file.metrics) > 1 and name in SAMPLERS and not record.two_metrics:
        choices = ", ".join(other for other, known in SAMPLERS.items() if known.two_metrics)
        file.error(f"{name} cannot optimize two metrics. Choices: {choices}.", "sampler")
    messages = []
    for group in record.exclusive:
        both = [option for option in group if chosen.get(option)]
        if len(both) > 1:
            messages.append(f"{' and '.join(both)} are mutually exclusive. Remove one.")
    if name == "tpe" and chosen.get("group") and chosen.get("multivariate") is False:
        messages.append("group needs multivariate. Remove multivariate: false.")
    for message in messages:
        file.error(message, "sampler", "options", at=file.key_node("sampler"))
    return Sampler(name, chosen)


def read_pruner(file: ParsedFile) -> tuple[str, dict[str, Any]]:
    """Return the name of the pruner and its options."""
    node = file.values.get("pruner")
    read = None if node is None else _pruner(file, node, ("pruner",))
    return ("none", {}) if read is None else read[:2]


def _pruner(
    file: ParsedFile, node: Node, path: tuple[str, ...]
) -> tuple[str, dict[str, Any], PrunerRecord] | None:
    read = _choice(file, node, path, PRUNERS)
    if read is None:
        return None
    name, chosen, record = read
    for option in record.required:
        if option not in chosen:
            file.error(
                f"{name} needs {option}. Write {{name: {name}, {option}: ...}}.", *path, at=node
            )
    if record.one_of and not any(chosen.get(option) is not None for option in record.one_of):
        file.error(f"{name} needs {' or '.join(record.one_of)}.", *path, at=node)
    inner = node.get(_WRAPPED)
    if inner is not None and inner.value is not None:
        _pruner(file, inner, (*path, _WRAPPED))
    return name, chosen, record


def _is_module(name: str, folder: Path) -> bool:
    """Return whether there is a module, in a folder or the environment; nothing is imported."""
    if os.path.isdir(folder / name) or os.path.isfile(folder / f"{name}.py"):
        return True
    with suppress(ValueError):  # one that is imported and has no description, such as __main__
        return find_spec(name) is not None
    return False


def _meant(file: ParsedFile, name: str, known: Mapping[str, Record]) -> str:
    """Return what to write for a class of Optuna, or another tool's name of one."""
    text = name.rpartition(".")[2].lower().replace("_", "").replace("-", "")
    short = text.removesuffix("pruner").removesuffix("sampler")
    found = next((one for one in known if one.replace("_", "") == short), _OTHER_NAMES.get(short))
    return f" Write {found}." if found in known else file.log.hint(name, known)


def _choice(
    file: ParsedFile, node: Node, path: tuple[str, ...], known: Mapping[str, Record]
) -> tuple[str, dict[str, Any], Record] | None:
    """Return a name, its options and its record; None if the name is wrong."""
    kind, named = path[-1].removeprefix("wrapped_"), node.get("name") or node
    of = type(next(iter(known.values()))).of
    record = of(named.value) if isinstance(named.value, str) else None
    if record is None:
        hint = _meant(file, named.value, known) if isinstance(named.value, str) else ""
        expected = f"expected one of {', '.join(known)}, or module:Class (found {found(named)})."
        file.error(f"{expected}{hint}", *path, at=named)
        return None
    name, below = str(named.value), node.get("options")
    top = re.split(r"[.:]", name)[0]
    if name not in known and not _is_module(top, file.folder):
        message = f"there is no module {top!r} in {file.folder} or the environment."
        file.error(message, *path, at=named)
    given: dict[str, tuple[tuple[str, ...], Node]] = {}
    if isinstance(node.value, dict):
        given = {n: ((*path, n), item) for n, item in node.value.items()}
        given.pop("name")
    if below is not None and isinstance(below.value, dict):
        given.pop("options")
        for option, item in below.value.items():
            if option in given:
                file.error("is set twice. Remove one.", *path, "options", option, at=item)
            given[option] = (*path, "options", option), item
    for option, (where, item) in given.items():
        if name not in known:
            continue  # a class of the user's own takes what it takes
        if option in record.options:
            record.options[option].read(item, join(*where), file.log)
        elif option in UNWRITABLE:
            file.error(f"cannot be set in a file: {UNWRITABLE[option]}.", *where, at=item)
        else:
            hint = file.log.hint(option, record.options)
            hint = hint or f" Choices: {', '.join(record.options) or 'none'}."
            file.error(f"{kind} {name} has no such option.{hint}", *where, at=item)
    return name, {option: item.plain() for option, (_, item) in given.items()}, record
