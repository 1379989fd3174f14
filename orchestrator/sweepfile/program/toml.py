"""Write TOML 1.0 (toml.io); Python itself only reads it."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dumps(values: Mapping[str, Any]) -> str:
    """Return nested mappings of plain values as TOML, without the keys whose value is None.

    Raises:
        TypeError: TOML cannot express a value.
    """
    return "\n".join(_table(values, ())) + "\n"


def _table(values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    inner = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    if path and (not inner or len(inner) < len(values)):
        yield f"[{'.'.join(map(_key, path))}]"
    for key, value in values.items():
        if key not in inner and value is not None:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in inner.items():
        yield from _table(value, (*path, key))


def _key(key: Any) -> str:
    text = str(key)
    return text if _BARE.fullmatch(text) else _value(text)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = str(value)  # TOML spells nan, inf and -inf alike
        is_float = not math.isfinite(value) or "." in text or "e" in text
        return text if is_float else f"{text}.0"
    if isinstance(value, str):
        # TOML has all of JSON's escapes, but DEL must be escaped as well.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value if item is not None)}]"
    if isinstance(value, Mapping):
        items = (f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None)
        return f"{{{', '.join(items)}}}"
    raise TypeError(f"TOML cannot express a {type(value).__name__}")
