"""YAML that other tools wrote, read leniently and without lines."""

from __future__ import annotations

from typing import Any

import yaml

from orchestrator.sweepfile.yaml.parse import FASTEST, TAG, RefusedError, measure

_MOST_BYTES = 4 << 20
_MOST_DEPTH = 41
_MOST_VALUES = 50_000


class LenientError(ValueError):
    """A text that cannot be read at all; the message is half a sentence."""


class _AnyTagLoader(FASTEST):  # type: ignore[misc]  # its base is known at run time only
    """Builds plain values of any tag."""


def _plain(loader: Any, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


_AnyTagLoader.add_multi_constructor("", _plain)
_AnyTagLoader.add_constructor(f"{TAG}timestamp", lambda loader, node: node.value)


def read_yaml(text: str) -> Any:
    """Return the plain values of YAML that another tool wrote; None for an empty text.

    No tag builds an object: the plain content of the value is kept.

    Raises:
        LenientError: it is not YAML, or so large or deep that no person wrote it.
    """
    if len(text) > _MOST_BYTES:
        raise LenientError(f"it has more than {_MOST_BYTES >> 20} MB")
    try:
        measure(text, _AnyTagLoader, _MOST_DEPTH, _MOST_VALUES)
        return yaml.load(text, Loader=_AnyTagLoader)
    except RefusedError as error:
        raise LenientError(f"it cannot be read: {error.message.rstrip('.')}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", see line {mark.line + 1}" if mark is not None else ""
        raise LenientError(f"it is not YAML{where}") from None
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise LenientError("it is not YAML that can be read") from None
