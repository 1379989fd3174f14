"""What a sweep file takes from the environment, and its secrets: in no record, log or name.

Where a trial reads it, a text keeps the form in which it is written, ``${env:NAME}``; a text under
a name such as ``api_key`` becomes ``${hidden:api_key}``. Only the process of a trial puts the
values in. Numbers, and texts that the sweep itself needs (paths, names), are settings and stay.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Self

_PLACE = re.compile(r"\$\{(?:env|hidden):[^{}]*\}")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET = {"token", "secret", "password", "passwd", "passphrase", "credential", "credentials"}
# Before "token" or "key" these make a name of machine learning, which is no secret.
_HARMLESS = {
    *("pad", "cls", "mask", "sep", "eos", "bos", "unk", "special", "image", "class", "mean", "per"),
    *("sort", "group", "primary", "foreign", "query", "target", "label", "input", "output", "data"),
}
# Shorter ones are part of many texts, and no secret.
_SHORTEST = 6


def is_secret(name: str) -> bool:
    """Return whether a name is that of a secret: ``HUB_TOKEN``, ``api_key``, ``dbPassword``."""
    parts = [part.lower() for part in _PART.findall(name)]
    for place, part in enumerate(parts):
        before = parts[place - 1] if place else ""
        if part in _SECRET and before not in _HARMLESS:
            return True
        if part == "apikey" or (part == "key" and before and before not in _HARMLESS):
            return True
    return False


@dataclass(frozen=True)
class Private:
    """The texts that are not written down.

    Attributes:
        values: what is written instead, as ``${env:NAME}``, to the text that it stands for.
        wholes: a text in which some of these are inserted, to the text as it is written.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    wholes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_process(cls, values: Mapping[str, str]) -> Self:
        """Return what a trial's process masks: `values` and the secrets of its environment.

        A command may name these as ``${envvar:NAME}``.
        """
        secret = {f"${{envvar:{name}}}": os.environ[name] for name in os.environ if is_secret(name)}
        return cls({**values, **secret})

    def without(self, value: Any) -> Any:
        """Return settings, nested in any way, with each private text as it is written."""
        if isinstance(value, str):
            return self.wholes.get(value, value)
        if isinstance(value, Mapping):
            return {key: self.without(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.without(item) for item in value)
        if is_dataclass(value) and not isinstance(value, type):
            inside = {one.name: getattr(value, one.name) for one in fields(value) if one.init}
            return replace(value, **{key: self.without(item) for key, item in inside.items()})
        return value

    def masked(self, value: Any) -> Any:
        """Return a record with each private text inside its texts as it is written."""
        if isinstance(value, str):
            for place, text in self._longest_first:
                value = value.replace(text, place)
            return value
        if isinstance(value, Mapping):
            return {key: self.masked(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.masked(item) for item in value]
        return value

    def put_in(self, value: Any) -> Any:
        """Return settings, nested in any way, as the trial gets them."""
        if isinstance(value, str):
            return _PLACE.sub(lambda found: self.values.get(found[0], found[0]), value)
        if isinstance(value, Mapping):
            return {key: self.put_in(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.put_in(item) for item in value]
        return value

    @property
    def _longest_first(self) -> list[tuple[str, str]]:
        kept = [(place, text) for place, text in self.values.items() if len(text) >= _SHORTEST]
        return sorted(kept, key=lambda pair: -len(pair[1]))


def with_secrets(private: Private, *settings: Any) -> Private:
    """Return `private` with the texts that `settings`, nested in any way, have under secret names.

    These are ``${hidden:NAME}``, with a number from the second text of a name on.
    """
    values, wholes = dict(private.values), dict(private.wholes)
    for name, text in _under_secret_names(settings):
        if text in wholes or len(text) < _SHORTEST:
            continue
        place, count = f"${{hidden:{name}}}", 2
        while place in values:
            place, count = f"${{hidden:{name}:{count}}}", count + 1
        values[place] = text
        wholes[text] = place
    return Private(values, wholes)


def _under_secret_names(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if name and not _PLACE.search(value) and "${" not in value:
            yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _under_secret_names(item, str(key) if is_secret(str(key)) else name)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _under_secret_names(item, name)
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            yield from _under_secret_names(getattr(value, one.name), name)
