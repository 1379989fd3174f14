"""Names of trials: readable, safe as folder names, and unique.

A name is made of the named trial and the values that vary
(``aggressive+lr=0.001_dropout=0.3``). The trial's number is added if that would lose something (a
long name is cut, a list has no short form, text looks like a number) or may repeat (a random
draw). So two trials never share a name, and this is known without looking at the others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.yaml.node import Log, Node

LONGEST = 60
_UNSAFE = re.compile(r"[^A-Za-z0-9.=-]+")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.=+_-]*(?<![.+_])")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_AMBIGUOUS = {"true", "false", "null", "none", "nan", "inf"}


def trial_name(
    number: int, trial: str | None, varied: Mapping[str, Any], *, drawn: bool = False
) -> str:
    """Return the name of a trial.

    Args:
        number: the trial's number, from 0.
        trial: key of the named trial, or None.
        varied: the values that differ between trials, in a fixed order.
        drawn: True if the values were drawn: they are shortened, and may repeat.
    """
    shown = {name: _shown(value, drawn) for name, value in varied.items()}
    title = name_part(trial or "")
    values = "_".join(f"{name_part(name)}={text}" for name, (text, _) in shown.items()).strip("._")
    label = "+".join(filter(None, (title, values))) or "run"
    is_exact = title == (trial or "") and all(lossless for _, lossless in shown.values())
    return _cut(label, number, keep=is_exact and not drawn)


def _cut(label: str, number: int, *, keep: bool) -> str:
    """Return a name of at most `LONGEST` characters: cut and numbered, unless it can stay."""
    if keep and len(label) <= LONGEST:
        return label
    tail = f"+{number}"
    return f"{label[: LONGEST - len(tail)].rstrip('._+')}{tail}"


def name_part(text: str) -> str:
    """Return `text` as one part of a name, in which ``=`` separates parameter and value."""
    return safe(text.replace("=", "_"))


def with_seed(name: str, parameter: str, seed: int, number: int) -> str:
    """Return the name of a replicate.

    Args:
        name: the config's.
        parameter: the parameter that takes the seed.
        seed: the replicate's.
        number: the trial's number, used if the name has to be cut.
    """
    tag = f"{name_part(parameter) or 'seed'}={seed}"
    joint = "_" if "=" in name.rpartition("+")[2] else "+"
    return _cut(tag if name == "run" else f"{name}{joint}{tag}", number, keep=True)


def without_seed(name: str, parameter: str = "seed") -> str:
    """Return a replicate's name without its seed: ``lr=0.1+full`` for ``lr=0.1_seed=3+full``.

    Args:
        name: a replicate's.
        parameter: the parameter that takes the seed.
    """
    tag = re.escape(name_part(parameter) or "seed")
    # Older sweeps have spaces between the parts of a name.
    found = re.sub(rf"(?:[\s,_+]+|^){tag}=-?\d+(?=$|[+_\s,])", "", name, count=1)
    return found.strip(" ,_+") or name


def is_safe(text: str) -> bool:
    """Return whether `text` can be the name of a trial unchanged."""
    return len(text) <= LONGEST and _PLAIN.fullmatch(text) is not None


def safe(text: str) -> str:
    """Return `text` with every character that is unsafe in a folder name replaced by ``_``."""
    return re.sub(r"_+", "_", _UNSAFE.sub("_", text)).strip("._")


def _shown(value: Any, short: bool) -> tuple[str, bool]:
    """Return a value as it appears in a name, and whether no other value would look the same."""
    if value is None:
        return "null", True
    if isinstance(value, bool):
        return ("true" if value else "false"), True
    if isinstance(value, int):
        return str(value), True
    if isinstance(value, float):
        text = f"{value:.4g}" if short else repr(value)
        return text.replace("e+", "e"), True
    if isinstance(value, str):
        text = name_part(value)
        good = text == value and _WORD.fullmatch(value) and value.lower() not in _AMBIGUOUS
        return text, bool(good)
    return name_part(str(value)), False


WRITTEN = "written"
"""Entry of an expanded trial or change that holds its name in the file."""
MOST = 10_000


def expand_lists(values: Mapping[str, Any], log: Log) -> dict[str, Any]:
    """Return the values of a file with the lists in the ``set`` of trials and changes expanded.

    A trial ``a`` with ``dropout: [0.3, 0.4]`` becomes ``a-dropout-0.3`` and ``a-dropout-0.4``. A
    change ``dropout`` with the same list becomes ``dropout=0.3`` and ``dropout=0.4``; a change
    ``smaller`` with two lists becomes ``smaller+width=8_depth=2`` and so on. The last list is the
    fastest. A list that is one value is written inside another list.
    """
    found = dict(values)
    if "trials" in values:
        found["trials"] = _expand(values["trials"], "trials", _trial_title, log)
    changes = values.get("ablate", {}).get("changes")
    if changes is not None:
        expanded = _expand(changes, "ablate.changes", _change_title, log)
        found["ablate"] = {**values["ablate"], "changes": expanded}
    return found


Settings = Mapping[str, Node]


def _expand(
    entries: Mapping[str, Any], key: str, title: Callable[[str, Settings, Settings], str], log: Log
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, entry in entries.items():
        settings: Settings = entry.get("set", {})
        lists = {k: n for k, n in settings.items() if isinstance(n.value, list) and n.value}
        size = math.prod(len(node.value) for node in lists.values())
        if size > MOST:
            where = next(iter(lists.values()))
            message = f"makes {size:,} combinations (limit: {MOST:,}). Use shorter lists."
            log.at(where, join(key, name, "set"), message)
        if size > MOST or not lists:
            found[name] = {**entry, WRITTEN: name}
            continue
        for row in product(*(node.value for node in lists.values())):
            chosen = dict(zip(lists, row, strict=True))
            varied = {k: node for k, node in chosen.items() if len(lists[k].value) > 1}
            unique = _free_name(title(name, lists, varied), {*found, *entries} - {name})
            found[unique] = {**entry, "set": {**settings, **chosen}, WRITTEN: name}
    return found


def _trial_title(name: str, lists: Settings, varied: Settings) -> str:
    return "-".join([name, *(f"{key}-{_tag(node)}" for key, node in varied.items())])


def _change_title(name: str, lists: Settings, varied: Settings) -> str:
    tags = (f"{k}={'null' if n.value is None else _tag(n)}" for k, n in varied.items())
    text = "_".join(tags)
    if list(lists) == [name] and varied:
        return text
    return f"{name}+{text}" if varied else name


def _tag(node: Node) -> str:
    value = node.plain()
    text = str(value).lower() if value is None or isinstance(value, bool) else str(value)
    return safe(text) or "empty"


def _free_name(name: str, taken: set[str]) -> str:
    """Return `name`, with a number if it is taken."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free
