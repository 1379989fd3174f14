"""Names of trials: readable, safe as folder names, and different from each other.

A name is made of the named trial and the values that set it apart
(``aggressive+lr=0.001_dropout=0.3``). Where that would lose something (a long name is cut, a list
has no short form, text could be mistaken for a number) or may come again (a random draw), the
trial's number is added, so two trials never share a name, and that is known without looking at
the others.

Named trials whose ``set`` holds lists: one trial for each combination.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import product
from typing import Any

from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.yaml.node import Log, Node

LONGEST = 60
_UNSAFE = re.compile(r"[^A-Za-z0-9.=-]+")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.=+_-]*(?<![.+_])")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_LOOKS_ELSE = {"true", "false", "null", "none", "nan", "inf"}


def trial_name(
    number: int, trial: str | None, varied: Mapping[str, Any], *, drawn: bool = False
) -> str:
    """Return the name of a trial.

    Args:
        number: the trial's number, from 0.
        trial: key of the named trial, or None.
        varied: the values that differ from trial to trial, in a fixed order.
        drawn: True where the values were drawn: they are shortened, and may come again.
    """
    exact = not drawn
    parts = []
    if trial is not None:
        parts.append(safe(trial.replace("=", "_")))
        exact = exact and parts[0] == trial
    if varied:
        texts = []
        for name, value in varied.items():
            text, lossless = _shown(value, drawn)
            exact = exact and lossless
            texts.append(f"{safe(name.replace('=', '_'))}={text}")
        parts.append("_".join(texts).strip("._"))
    label = "+".join(part for part in parts if part) or "run"
    if exact and len(label) <= LONGEST:
        return label
    tail = f"+{number}"
    return f"{label[: LONGEST - len(tail)].rstrip('._+')}{tail}"


def with_seed(name: str, parameter: str, seed: int, number: int) -> str:
    """Return the name of a replicate.

    Args:
        name: the config's.
        parameter: the parameter that takes the seed.
        seed: the replicate's.
        number: the trial's number, for a name that has to be cut.
    """
    tag = f"{safe(parameter.replace('=', '_')) or 'seed'}={seed}"
    joint = "_" if "=" in name.rpartition("+")[2] else "+"
    label = tag if name == "run" else f"{name}{joint}{tag}"
    if len(label) <= LONGEST:
        return label
    tail = f"+{number}"
    return f"{label[: LONGEST - len(tail)].rstrip('._+')}{tail}"


def without_seed(name: str, parameter: str = "seed") -> str:
    """Return what the replicates of a config are called together: a name less its seed.

    ::

        without_seed("lr=0.1_seed=3+full")     # lr=0.1+full

    Args:
        name: a replicate's.
        parameter: the parameter that takes the seed.
    """
    tag = re.escape(safe(parameter.replace("=", "_")) or "seed")
    # Older sweeps have blanks between the parts of a name.
    found = re.sub(rf"(?:[\s,_+]+|^){tag}=-?\d+(?=$|[+_\s,])", "", name, count=1)
    return found.strip(" ,_+") or name


def is_safe(text: str) -> bool:
    """Tell whether `text` can be the name of a trial as it stands."""
    return len(text) <= LONGEST and _PLAIN.fullmatch(text) is not None


def safe(text: str) -> str:
    """Return `text` with all that a folder name should not hold replaced by ``_``."""
    return re.sub(r"_+", "_", _UNSAFE.sub("_", text)).strip("._")


def _shown(value: Any, short: bool) -> tuple[str, bool]:
    """Return a value as it stands in a name, and whether nothing else would look the same."""
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
        text = safe(value.replace("=", "_"))
        good = text == value and _WORD.fullmatch(value) and value.lower() not in _LOOKS_ELSE
        return text, bool(good)
    return safe(str(value).replace("=", "_")), False


WRITTEN = "written"
"""Entry of an expanded trial that holds its name in the file."""
MOST = 10_000


def expand_sets(values: Mapping[str, Any], log: Log) -> dict[str, Any]:
    """Return the values of a file with every list in the ``set`` of a trial expanded.

    A trial called ``a`` with ``dropout: [0.3, 0.4]`` becomes ``a-dropout-0.3`` and
    ``a-dropout-0.4``; of several lists the last one goes fastest. A list that is meant as one
    value is written inside another.
    """
    if not isinstance(values.get("trials"), dict):
        return dict(values)
    trials: dict[str, Any] = {}
    for name, entry in values["trials"].items():
        lists = {
            key: node
            for key, node in entry.get("set", {}).items()
            if isinstance(node.value, list) and node.value
        }
        size = math.prod(len(node.value) for node in lists.values())
        if size > MOST or not lists:
            if size > MOST:
                where = next(iter(lists.values()))
                message = f"must expand to at most {MOST:,} trials, but makes {size:,}."
                log.at(where, join("trials", name, "set"), message)
            trials[name] = entry
            continue
        for row in product(*(node.value for node in lists.values())):
            chosen = dict(zip(lists, row, strict=True))
            tags = [f"{key}-{shown(chosen[key])}" for key in lists if len(lists[key].value) > 1]
            key = free_name("-".join([name, *tags]), {*trials, *values["trials"]} - {name})
            trials[key] = {**entry, "set": {**entry["set"], **chosen}, WRITTEN: name}
    return {**values, "trials": trials}


def shown(node: Node) -> str:
    """Return a value as it stands in a name."""
    value = node.plain()
    text = str(value).lower() if value is None or isinstance(value, bool) else str(value)
    return safe(text) or "empty"


def free_name(name: str, taken: set[str]) -> str:
    """Return `name`, with a number where it is taken."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free
