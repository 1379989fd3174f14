"""The styles in which parameters become the arguments of a program; no shell reads them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orchestrator.errors import TrialError

BOOLEANS = ("flag", "pair", "value")
AUTO = "auto"


@dataclass(frozen=True)
class Style:
    """How one parameter is written: `write` returns the words of an option and its value.

    Attributes:
        hyphens: True if ``_`` in the name becomes ``-``.
        booleans: how true and false are written whatever the caller wants; None if it decides.
    """

    write: Callable[[str, Any], list[str]]
    prefix: str = "--"
    hyphens: bool = False
    booleans: str | None = None


def arguments(
    config: Mapping[str, Any],
    *,
    style: str = "--k=v",
    booleans: str = "value",
    spelling: Mapping[str, Sequence[str]] | None = None,
) -> list[str]:
    """Return the arguments for `config`, sorted by name.

    ``--k=v`` is what W&B sends: the name unchanged and Python's ``str`` of the value. In ``--k v``
    and ``hyphen-space``, a value that begins with a hyphen stays in one word with its name, since
    it would be taken for an option, and None is omitted: the script's default is used. With
    `booleans` ``"flag"``, True is ``--amp`` alone and False is omitted; with ``"pair"`` False is
    ``--no-amp``; both only if names have hyphens. `style` is one of `STYLES` or `MACRO_STYLES`.

    Args:
        spelling: for ``auto``: parameter to its option, the way in which that takes values, and
            the option that switches it off. Others are written as in ``--k=v``.

    Raises:
        TrialError: a value has a NUL character, which no argument can hold.
    """
    if style == "none":
        return []
    known = _STYLES.get(style)
    if known is None:
        raise TrialError(f"args: unknown style {style!r}. Choices: {', '.join(STYLES)}.")
    booleans = known.booleans or booleans if known.prefix == "--" else "value"
    words: list[str] = []
    for name in sorted(config):
        value = native(config[name])
        option = name.replace("_", "-") if known.hyphens else name
        if style == AUTO:
            for part, item in _parts(name, value, spelling or {}):
                words += _spelled(part, item, (spelling or {}).get(part.replace("-", "_")))
        elif isinstance(value, bool) and booleans != "value":
            off = [f"--no-{option}"] if booleans == "pair" else []
            words += [f"--{option}"] if value else off
        else:
            words += known.write(f"{known.prefix}{option}", value)
    for word in words:
        if "\0" in word:
            name = word.split("=")[0]
            raise TrialError(f"argument {name}: NUL characters are not allowed (found {word!r}).")
    return words


def has_parts(name: str, spelling: Mapping[str, Sequence[str]]) -> bool:
    """Return whether a script takes what is below a parameter as ``--optimizer.lr``."""
    plain = name.replace("-", "_")
    return plain not in spelling and any(key.startswith(f"{plain}.") for key in spelling)


def _parts(
    name: str, value: Any, spelling: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, Any]]:
    """Yield a parameter, or what is below it if the script has an option for each part."""
    if isinstance(value, Mapping) and has_parts(name, spelling):
        for key in sorted(value):
            yield from _parts(f"{name}.{key}", value[key], spelling)
    else:
        yield name, value


def _spelled(name: str, value: Any, row: Sequence[str] | None) -> list[str]:
    """Return the words of an option in the way in which the script's own parser takes it."""
    option, way, off = row or (name, "value", "")
    if value is None:
        return []
    if way in ("flag", "off", "pair") and isinstance(value, bool):
        if value is (way != "off"):
            return [f"--{option}"]
        return [f"--{off}"] if way == "pair" else []
    if way == "empty" and value is False:
        return [f"--{option}="]  # bool("") is the only text that is false
    if way == "several" and isinstance(value, list):
        return [f"--{option}", *(_item(item) for item in value)]
    return [f"--{option}={value}"]


def native(value: Any) -> Any:
    """Return `value` with numpy scalars as Python numbers and tuples as lists."""
    if isinstance(value, Mapping):
        return {key: native(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [native(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return value


def _joined(option: str, value: Any) -> list[str]:
    return [f"{option}={value}"]


def _hydra(option: str, value: Any) -> list[str]:
    return [f"{option}={hydra_value(value)}"]


def _spaced(option: str, value: Any) -> list[str]:
    """Return name and value as separate words, as most parsers read them."""
    if value is None:
        return []
    if isinstance(value, list):
        return [option, *(_item(item) for item in value)]
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    # A word that begins with a hyphen is taken for an option; argparse accepts negative numbers,
    # but not those with an exponent.
    return [f"{option}={text}"] if text.startswith("-") else [option, text]


def _item(item: Any) -> str:
    if isinstance(item, list | dict):
        return json.dumps(item, ensure_ascii=False)
    if isinstance(item, float) and item < 0 and "e" in repr(item):
        return format(Decimal(repr(item)), "f")
    return str(item)


# What Hydra takes for text without quotes; text with another meaning is quoted.
_BARE = re.compile(r"[A-Za-z_./][\w./@?|+-]*")
_MEANT = re.compile(r"(?i)null|true|false|nan|inf(inity)?")


def hydra_value(value: Any) -> str:
    """Return a value as Hydra's grammar of overrides reads it back (hydra.cc, override grammar)."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list):
        return f"[{','.join(map(hydra_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{hydra_value(item)}' for key, item in value.items())}}}"
    text = str(value)
    if _BARE.fullmatch(text) and not _MEANT.fullmatch(text):
        return text
    # Backslashes count only before a quote and at the end; ${ would begin an interpolation.
    text = text.replace("${", r"\${")
    text = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return "'" + re.sub(r"(\\+)\Z", r"\1\1", text) + "'"


_OF_FILE = {
    AUTO: Style(_joined),
    "--k=v": Style(_joined),
    "--k v": Style(_spaced),
    "hyphen-space": Style(_spaced, hyphens=True),
    "k=v": Style(_joined, prefix=""),
    "hydra": Style(_hydra, prefix=""),
    "+k=v": Style(_hydra, prefix="+"),
    "++k=v": Style(_hydra, prefix="++"),
}
_OF_MACROS = {
    "args_no_hyphens": Style(_joined, prefix=""),
    "args_no_boolean_flags": Style(_joined, booleans="flag"),
    "args_no_equals": Style(lambda option, value: [option, str(value)], booleans="value"),
    "args_append_hydra": Style(_joined, prefix="+"),
    "args_override_hydra": Style(_joined, prefix="++"),
}
_STYLES = {**_OF_FILE, **_OF_MACROS}
STYLES = (*_OF_FILE, "none")
"""The styles that ``args`` may name."""
MACRO_STYLES = tuple(_OF_MACROS)
"""W&B's macros for arguments that are written otherwise than ``${args}``."""


def plain_form(command: Sequence[str]) -> tuple[str | None, str] | None:
    """Return interpreter and ``args.booleans`` of a command that ``program`` alone could replace.

    Returns:
        The interpreter's name, None for the one that runs the sweep, and ``value`` or ``flag``;
        None if the command does something else.
    """
    items = list(command)
    if items[:1] in (["${env}"], ["/usr/bin/env"]):
        items = items[1:]
    if len(items) != 3 or items[1] != "${program}":
        return None
    booleans = {"${args}": "value", "${args_no_boolean_flags}": "flag"}.get(items[2])
    if booleans is None:
        return None
    if items[0] == "${interpreter}":
        return None, booleans
    return (items[0], booleans) if re.fullmatch(r"[\w./-]*python[\d.]*", items[0]) else None


def as_list(text: str) -> str:
    """Return a command that was written as one text as a list of YAML."""
    try:
        words = shlex.split(text)
    except ValueError:  # a quote that does not end
        words = text.split()
    return f"[{', '.join(repr(w) if re.search(r'[^A-Za-z0-9_./=-]', w) else w for w in words)}]"
