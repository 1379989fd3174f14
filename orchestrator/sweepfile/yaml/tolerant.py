"""YAML that other tools wrote, read for what it says: nothing is built, nothing is refused.

A sweep file is read strictly (`sweepfile.yaml.parse`); a run folder's ``config.yaml`` may hold
tags that build objects (Lightning writes some), aliases, or be cut short. Of a tagged value its
plain content is kept.
"""

from __future__ import annotations

from typing import Any

import yaml

MOST_BYTES = 4 << 20
MOST_VALUES = 50_000
DEEPEST = 40

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class LenientError(ValueError):
    """The text says nothing that can be read; the message is half a sentence."""


class _Reader(_Loader):  # type: ignore[misc]  # which of the two it is, is known at run time
    """Builds plain values of any tag."""


def _plain(loader: Any, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


_Reader.add_multi_constructor("", _plain)
# Dates stay text, as in sweep files.
_Reader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: node.value)


def read_yaml(text: str) -> Any:
    """Return the plain values of a YAML text, None for an empty one.

    Raises:
        LenientError: it is no YAML, or so large or deep that no person wrote it.
    """
    if len(text) > MOST_BYTES:
        raise LenientError(f"it has more than {MOST_BYTES >> 20} MB")
    try:
        _check_size(text)
        return yaml.load(text, Loader=_Reader)
    except LenientError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", see line {mark.line + 1}" if mark is not None else ""
        raise LenientError(f"it is not YAML{where}") from None
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise LenientError("it is not YAML that can be read") from None


def _check_size(text: str) -> None:
    """Refuse what would unfold to too much, before anything is built."""
    depth = 0
    sizes: dict[str, int] = {}
    open_anchors: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            total += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            open_anchors.append((event.anchor, total))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            anchor, before = open_anchors.pop()
            if anchor:
                sizes[anchor] = total - before + 1
        if depth > DEEPEST or total > MOST_VALUES:
            raise LenientError("it holds more than a person writes")
