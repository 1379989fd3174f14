"""Names of trials: readable, safe as folder names, and different from each other.

A name is made of the named trial and the values that set it apart
(``aggressive+lr=0.001_dropout=0.3``). Where that would lose something (a long name is cut, a list
has no short form, text could be mistaken for a number) or may come again (a random draw), the
trial's number is added, so two trials never share a name, and that is known without looking at
the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

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
