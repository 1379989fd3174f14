"""The styles in which parameters become arguments; no shell reads the words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from orchestrator.errors import TrialError

STYLES = ("--k=v", "--k v", "hyphen-space", "k=v", "hydra", "+k=v", "++k=v", "none")
BOOLEANS = ("flag", "pair", "value")

_HYDRA = {"hydra": "", "+k=v": "+", "++k=v": "++"}
_SPACED = ("--k v", "hyphen-space")
# What Hydra takes for text without quotes; words that mean something else to it are quoted.
_BARE = re.compile(r"[A-Za-z_./][\w./@?|+-]*")
_MEANT = re.compile(r"(?i)null|true|false|nan|inf(inity)?")


def arguments(
    config: Mapping[str, Any], *, style: str = "--k=v", booleans: str = "value"
) -> list[str]:
    """Return the arguments for `config`, in the order of the names.

    ============  =======================  ======================  =====================
    value         ``--k=v``                ``hyphen-space``        ``hydra``
    ============  =======================  ======================  =====================
    3.0           ``--t20_w=3.0``          ``--t20-w`` ``3.0``     ``t20_w=3.0``
    True          ``--amp=True``           ``--amp`` ``True``      ``amp=true``
    None          ``--clip=None``          nothing                 ``clip=null``
    [1, 2]        ``--layers=[1, 2]``      ``--layers`` ``1 2``    ``layers=[1,2]``
    {"a": 1}      ``--net={'a': 1}``       ``--net`` and JSON      ``net={a:1}``
    "-x"          ``--name=-x``            ``--name=-x``           ``name='-x'``
    "a b"         ``--name=a b``           ``--name`` ``a b``      ``name='a b'``
    ============  =======================  ======================  =====================

    ``--k=v`` is what W&B sends: the name as it is and Python's ``str`` of the value; ``k=v`` is the
    same without hyphens. ``--k v`` is ``hyphen-space`` with the name as it is; there a value that
    begins with a hyphen stays one word with its name, since it would be taken for an option, and
    None is nothing: the script's default holds. ``+k=v`` and ``++k=v`` write values as ``hydra``
    does. With `booleans` ``"flag"``, True is ``--amp`` alone and False is nothing; with ``"pair"``
    False is ``--no-amp``; both only where names have hyphens. ``none`` passes nothing.

    Args:
        config: parameter name to value.
        style: one of `STYLES`.
        booleans: one of `BOOLEANS`.

    Raises:
        TrialError: a value holds a NUL character, which no argument can.
    """
    if style not in STYLES:
        raise TrialError(f"args: must be one of {', '.join(STYLES)}, but got {style!r}.")
    if style == "none":
        return []
    words: list[str] = []
    for name in sorted(config):
        value = native(config[name])
        option = name.replace("_", "-") if style == "hyphen-space" else name
        if isinstance(value, bool) and booleans != "value" and style.startswith(("--", "hyphen")):
            off = [f"--no-{option}"] if booleans == "pair" else []
            words += [f"--{option}"] if value else off
        elif style in _HYDRA:
            words.append(f"{_HYDRA[style]}{name}={hydra_value(value)}")
        elif style in _SPACED:
            words += _spaced(f"--{option}", value)
        else:
            words.append(f"{'--' * (style == '--k=v')}{name}={value}")
    for word in words:
        if "\0" in word:
            raise TrialError(
                f"argument {word.split('=')[0]}: must hold no NUL character, but got {word!r}."
            )
    return words


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


def native(value: Any) -> Any:
    """Return `value` with numpy scalars as Python numbers and tuples as lists."""
    if isinstance(value, Mapping):
        return {key: native(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [native(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    return value


def _spaced(option: str, value: Any) -> list[str]:
    """Return the words of one parameter where name and value are two words."""
    if value is None:
        return []
    if isinstance(value, list):
        return [option, *(_word(item) for item in value)]
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    # A word that begins with a hyphen is taken for an option; argparse lets negative numbers
    # pass, but not those with an exponent.
    return [f"{option}={text}"] if text.startswith("-") else [option, text]


def _word(item: Any) -> str:
    """Return one item of a list as a word."""
    if isinstance(item, list | dict):
        return json.dumps(item, ensure_ascii=False)
    if isinstance(item, float) and item < 0 and "e" in repr(item):
        return format(Decimal(repr(item)), "f")
    return str(item)
