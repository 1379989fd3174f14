"""Names of trials that keep, if they are cut, the part that distinguishes them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from orchestrator.cli.render.text import clean

_SEPARATOR = re.compile(r"[,;/\s]+")
_WORD = re.compile(r"[A-Za-z]+")


def distinct(names: Sequence[str], width: int) -> list[str]:
    """Return `names` in at most `width` characters each.

    If one does not fit, all are shortened in the same way: what all have in common, such as
    ``epochs=20``, is left out; then parameters become their initials, ``lr`` for
    ``learning_rate``. What is still too long is cut in its middle.
    """
    shown = [clean(name) for name in names]
    if _fit(shown, width):
        return shown
    parts = [_SEPARATOR.split(name) for name in shown]
    values: dict[str, set[str]] = {}
    for part in (part for own in parts for part in own):
        values.setdefault(part.partition("=")[0], set()).add(part)
    times = Counter(part for own in parts for part in set(own))

    def is_common(part: str) -> bool:
        key, equals, _ = part.partition("=")
        # A trial with a name of its own has no assignments; the others still have them in common.
        return times[part] > 1 and len(values[key]) == 1 if equals else times[part] == len(shown)

    kept = [[part for part in own if not is_common(part)] for own in parts]
    # A name that consists of common parts alone would be empty.
    shown = [",".join(own) or name for own, name in zip(kept, shown, strict=True)]
    if not _fit(shown, width):
        initials = _initials(part.partition("=")[0] for own in kept for part in own if "=" in part)
        shown = [_abbreviated(name, initials) for name in shown]
    return [cut(name, width) for name in shown]


def cut(name: str, width: int) -> str:
    """Return a name in at most `width` characters, without its middle if it is longer."""
    if len(name) <= width:
        return name
    end = max(0, width - 1) // 2
    return f"{name[: max(0, width - 1 - end)]}…{name[len(name) - end :]}"


def _fit(names: Iterable[str], width: int) -> bool:
    return all(len(name) <= width for name in names)


def _initials(keys: Iterable[str]) -> dict[str, str]:
    """Return short forms of parameters by their names; {} if two would have the same."""
    found = {key: "".join(word[0] for word in _WORD.findall(key)) or key for key in set(keys)}
    return found if len(set(found.values())) == len(found) else {}


def _abbreviated(name: str, initials: dict[str, str]) -> str:
    parts = [part.partition("=") for part in name.split(",")]
    return ",".join(f"{initials.get(key, key)}{equals}{value}" for key, equals, value in parts)
