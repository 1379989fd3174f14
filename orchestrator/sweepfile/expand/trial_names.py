"""Names of trials: readable, safe as folder names, and unique.

A name is made of the named trial and the values that vary
(``aggressive+lr=0.001_dropout=0.3``). The trial's number is added if that would lose something (a
long name, a list, text that looks like a number) or may repeat (a random draw).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

LONGEST = 60
_UNSAFE = re.compile(r"[^A-Za-z0-9.=-]+")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.=+_-]*(?<![.+_])")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_AMBIGUOUS = {"true", "false", "null", "none", "nan", "inf"}


def trial_name(
    number: int, trial: str | None, varied: Mapping[str, Any], *, drawn: bool = False
) -> str:
    """Return the name of a trial, by its named trial and the values that differ between trials.

    If they were `drawn`, values are shortened, and may repeat.
    """
    shown = {name: _shown(value, drawn) for name, value in varied.items()}
    title = name_part(trial or "")
    values = "_".join(f"{name_part(name)}={text}" for name, (text, _) in shown.items()).strip("._")
    label = "+".join(filter(None, (title, values))) or "run"
    is_exact = title == (trial or "") and all(lossless for _, lossless in shown.values())
    return _cut(label, number, keep=is_exact and not drawn)


def with_seed(name: str, parameter: str, seed: int, number: int) -> str:
    """Return the name of a replicate of the config called `name`.

    The trial's number is used if the name has to be cut.
    """
    tag = f"{name_part(parameter) or 'seed'}={seed}"
    joint = "_" if "=" in name.rpartition("+")[2] else "+"
    return _cut(tag if name == "run" else f"{name}{joint}{tag}", number, keep=True)


def without_seed(name: str, parameter: str = "seed") -> str:
    """Return a replicate's name without its seed: ``lr=0.1+full`` for ``lr=0.1_seed=3+full``."""
    tag = re.escape(name_part(parameter) or "seed")
    # Older sweeps have spaces between the parts of a name.
    found = re.sub(rf"(?:[\s,_+]+|^){tag}=-?\d+(?=$|[+_\s,])", "", name, count=1)
    return found.strip(" ,_+") or name


def _cut(label: str, number: int, *, keep: bool) -> str:
    """Return a name of at most `LONGEST` characters: cut and numbered, unless it can stay."""
    if keep and len(label) <= LONGEST:
        return label
    tail = f"+{number}"
    return f"{label[: LONGEST - len(tail)].rstrip('._+')}{tail}"


def name_part(text: str) -> str:
    """Return `text` as one part of a name, in which ``=`` separates parameter and value."""
    return safe(text.replace("=", "_"))


def safe(text: str) -> str:
    """Return `text` with every character that is unsafe in a folder name replaced by ``_``."""
    return re.sub(r"_+", "_", _UNSAFE.sub("_", text)).strip("._")


def is_safe(text: str) -> bool:
    """Return whether `text` can be the name of a trial unchanged."""
    return len(text) <= LONGEST and _PLAIN.fullmatch(text) is not None


def _shown(value: Any, short: bool) -> tuple[str, bool]:
    """Return a value as it appears in a name, and whether no other value would look the same."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value], True
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
