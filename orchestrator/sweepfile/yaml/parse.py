"""YAML text to a tree in which every key and value knows its line.

The language is PyYAML's YAML 1.1 with two departures: unquoted exponent floats (``1e-5``, ``5e-3``,
``1E5``) are floats, as their writers mean them, and dates stay text, because no parameter is a
date. Quoted scalars stay text. Keys are always text, as they are written.

Files that other tools wrote (a run folder's ``config.yaml``) are read leniently by `read_yaml`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import Problem, UsageError
from orchestrator.sweepfile.yaml.node import Log, Node, found

MAX_BYTES = 5_000_000
MAX_DEPTH = 50
MAX_UNFOLDED = 200_000  # values after all aliases are unfolded
_LENIENT_BYTES = 4 << 20
_LENIENT_DEPTH = 41
_LENIENT_UNFOLDED = 50_000

_TAG = "tag:yaml.org,2002:"
_EXPONENT_TAG = "tag:exponent"  # a float that YAML 1.1 takes for text
_EXPONENT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+\Z")
_BOUND = re.compile(r"\s*[<>]=?\s*\S")
_CONSTRUCTOR: Any = yaml.constructor.SafeConstructor()
_FASTEST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def loader_with_exponents(base: Any) -> Any:
    """Return a loader that tags exponent floats which YAML 1.1 alone would take for text."""
    loader: Any = type("Loader", (base,), {})
    # Resolvers are asked in turn: what YAML 1.1 knows as a float keeps its own tag.
    loader.add_implicit_resolver(_EXPONENT_TAG, _EXPONENT, list("-+.0123456789"))
    return loader


_LOADER = loader_with_exponents(_FASTEST)


def read_file(path: Path, log: Log) -> Node:
    """Return the tree of a sweep file.

    Duplicate keys and tags that build objects are added to `log`; reading continues after them.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is not YAML, or no mapping; together with what `log` held already.
    """
    origin = str(path)
    try:
        size = path.stat().st_size
        raw = path.read_bytes() if size <= MAX_BYTES else b""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{origin}: cannot read the sweep file: {reason}.") from None
    if size > MAX_BYTES or len(raw) > MAX_BYTES:
        limit = MAX_BYTES // 1_000_000
        log.add("", f"larger than {limit} MB ({size:,} bytes).", origin)
        raise log.error()
    utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = raw.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        log.add("", "not UTF-8 text. Save it as UTF-8.", origin, line)
        raise log.error() from None
    root = _build(text, origin, log)
    if root is None or root.value is None:
        log.add("", "the file is empty. `sweep schema` lists its keys.", origin)
        raise log.error()
    if not isinstance(root.value, dict):
        log.at(root, "", f"expected a mapping with keys such as 'trainer:' (found {found(root)}).")
        raise log.error()
    return root


def read_value(text: str, origin: str, log: Log) -> Node:
    """Return the tree of one value from the command line; it has no lines.

    A bound such as ``>= 0.98`` is text, though YAML would take its ``>`` for a folded block.

    Raises:
        SpecError: it is not YAML; together with what `log` held already.
    """
    if _BOUND.match(text):
        return Node(text.strip(), None, origin)
    root = _build(text, origin, log, numbered=False)
    return root if root is not None else Node(None, None, origin)


def _build(text: str, origin: str, log: Log, *, numbered: bool = True) -> Node | None:
    try:
        _Meter(MAX_DEPTH, MAX_UNFOLDED).measure(text, _LOADER)
        composed = yaml.compose(text, Loader=_LOADER)
        return None if composed is None else _Reader(origin, log, numbered).read(composed, "")
    except _RefusedError as error:
        message, line = error.message, error.line
    except yaml.YAMLError as error:
        message, line = _explain(error, text)
    except UnicodeError:
        message, line = "not UTF-8 text.", None
    log.add("", message, origin, line if numbered else None)
    raise log.error()


class _RefusedError(Exception):
    """A text cannot be read at all."""

    def __init__(self, where: Any, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.line = where.start_mark.line + 1


class _Meter:
    """Refuses text that is too deep or unfolds to too much, before anything is built."""

    def __init__(self, depth: int, unfolded: int) -> None:
        self._depth = depth
        self._unfolded = unfolded
        self._known: dict[str, tuple[int, int] | None] = {}  # anchor -> values, depth; None: open
        self._stack: list[tuple[str | None, int, int]] = []  # anchor, values and depth so far
        self._documents = 0

    def measure(self, text: str, loader: Any) -> None:
        """Read a text event by event.

        Raises:
            _RefusedError: a limit is exceeded, an alias has no anchor, or there are two documents.
        """
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    raise _RefusedError(event, "a second document starts here ('---'). Keep one.")
            elif isinstance(event, yaml.CollectionStartEvent):
                self._check(event, len(self._stack) + 1, 1)
                self._stack.append((event.anchor, 1, 1))
                if event.anchor:
                    self._known[event.anchor] = None
            elif isinstance(event, yaml.CollectionEndEvent):
                self._add(event, *self._stack.pop())
            elif isinstance(event, yaml.AliasEvent):
                self._add(event, None, *self._meant(event))
            elif isinstance(event, yaml.ScalarEvent):
                self._add(event, event.anchor, 1, 1)

    def _add(self, event: Any, anchor: str | None, size: int, depth: int) -> None:
        """Add a finished value to the collection around it."""
        if anchor:
            self._known[anchor] = (size, depth)
        if self._stack:
            outer, values, deepest = self._stack[-1]
            size, depth = values + size, max(deepest, depth + 1)
            self._stack[-1] = (outer, size, depth)
        self._check(event, depth, size)

    def _check(self, event: Any, depth: int, size: int) -> None:
        if depth > self._depth:
            raise _RefusedError(event, f"nested more than {self._depth} deep.")
        if size > self._unfolded:
            raise _RefusedError(event, f"more than {self._unfolded:,} values, aliases unfolded.")

    def _meant(self, event: Any) -> tuple[int, int]:
        name = event.anchor
        if name not in self._known:
            message = f"no anchor &{name} above the alias *{name}."
            raise _RefusedError(event, f"{message} Quote it if it is text: '*{name}'.")
        meant = self._known[name]
        if meant is None:
            raise _RefusedError(event, f"the alias *{name} is inside &{name} itself.")
        return meant


class _Reader:
    """Turns PyYAML's nodes into ours; one for each text."""

    def __init__(self, origin: str, log: Log, numbered: bool) -> None:
        self._origin = origin
        self._log = log
        self._numbered = numbered
        self._done: dict[int, Node] = {}  # what several aliases mean is read once

    def read(self, raw: Any, key: str) -> Node:
        """Return the tree of a composed node that is found under a dotted `key`."""
        if id(raw) not in self._done:
            self._done[id(raw)] = self._read(raw, key)
        return self._done[id(raw)]

    def _read(self, raw: Any, key: str) -> Node:
        line = raw.start_mark.line + 1 if self._numbered else None
        if isinstance(raw, yaml.MappingNode):
            self._tag_name(raw, key, line)
            return self._mapping(raw, key, line)
        if isinstance(raw, yaml.SequenceNode):
            self._tag_name(raw, key, line)
            items = [
                self.read(item, key if isinstance(item, yaml.ScalarNode) else _join(key, str(i)))
                for i, item in enumerate(raw.value)
            ]
            return Node(items, line, self._origin)
        return Node(self._scalar(raw, key, line), line, self._origin)

    def _mapping(self, raw: Any, key: str, line: int | None) -> Node:
        entries: dict[str, Node] = {}
        lines: dict[str, int | None] = {}
        merged: list[Node] = []
        for name, value in raw.value:
            if not isinstance(name, yaml.ScalarNode):
                raise _RefusedError(name, "a key cannot be a list or a mapping.")
            if name.tag == f"{_TAG}merge":
                merged += self._merged(value, key)
                continue
            inner = _join(key, name.value)
            if name.value in entries:
                first = lines[name.value]
                where = f" It is on line {first} too; keep one." if first else ""
                self._log.add(inner, f"repeated key.{where}", self._origin, self._line(name))
                self.read(value, inner)
                continue
            lines[name.value] = self._line(name)
            entries[name.value] = self.read(value, inner)
        for other in merged:
            for name, node in other.value.items():
                if name not in entries:
                    entries[name], lines[name] = node, other.key_lines[name]
        return Node(entries, line, self._origin, lines)

    def _line(self, raw: Any) -> int | None:
        return raw.start_mark.line + 1 if self._numbered else None

    def _merged(self, raw: Any, key: str) -> list[Node]:
        """Return the mappings that a ``<<`` merges."""
        node = self.read(raw, key)
        others = node.value if isinstance(node.value, list) else [node]
        if not all(isinstance(other.value, dict) for other in others):
            raise _RefusedError(raw, f"'<<' merges mappings only (found {found(node)}).")
        return others

    def _scalar(self, raw: Any, key: str, line: int | None) -> Any:
        name = self._tag_name(raw, key, line)
        try:
            if name == "int":
                number: int = _CONSTRUCTOR.construct_yaml_int(raw)
                if number.bit_length() > 1000:  # Python may refuse to print it
                    raise OverflowError
                return number
            if name == "float":
                return _CONSTRUCTOR.construct_yaml_float(raw)
            if name == "bool":
                return _CONSTRUCTOR.construct_yaml_bool(raw)
        except (ValueError, OverflowError, KeyError, IndexError):
            kind = "true or false" if name == "bool" else "a number"
            message = f"expected {kind} (found {raw.value[:40]!r})."
            self._log.add(key, message, self._origin, line)
            return None
        return None if name == "null" else raw.value

    def _tag_name(self, raw: Any, key: str, line: int | None) -> str:
        """Return the short name of a node's tag; dates and unknown tags are text."""
        tag: str = raw.tag
        if tag == _EXPONENT_TAG:
            if line is not None:
                self._log.exponents.append(Problem(line, key, raw.value, self._origin))
            return "float"
        name = tag.removeprefix(_TAG) if tag.startswith(_TAG) else ""
        if name in ("str", "int", "float", "bool", "null", "seq", "map"):
            return name
        if name not in ("timestamp", "value", "merge"):
            message = f"the tag {tag[:80]!r} builds an object. Remove the tag."
            self._log.add(key, message, self._origin, line)
        return "str"


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _explain(error: yaml.YAMLError, text: str) -> tuple[str, int | None]:
    """Return one sentence for a syntax error, and its line."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        reason = getattr(error, "reason", None) or "unreadable"
        position = getattr(error, "position", None)
        line = text.count("\n", 0, position) + 1 if isinstance(position, int) else None
        return f"not YAML: {reason}.", line
    lines = text.splitlines()
    row = min(mark.line, max(len(lines) - 1, 0))
    here = lines[row] if lines else ""
    indent = here[: len(here) - len(here.lstrip())]
    if "\t" in indent or here[mark.column : mark.column + 1] == "\t":
        return "indented with a tab. Use spaces.", row + 1
    hint = ""
    if re.search(r":\s+[>|%@`*&!]", here):
        value = here.split(":", 1)[1].strip()
        hint = f' Quote the value: "{value[:40]}".'
    macro = re.search(r"(?<![\"'])\$\{[^{}]*\}", here)
    if macro is not None and not hint:  # within [ ] and { } a brace ends a word
        hint = f' Quote what has braces: "{macro[0]}".'
    problem = getattr(error, "problem", None) or "unreadable"
    return f"not YAML: {problem}.{hint}", row + 1


class LenientError(ValueError):
    """A text that cannot be read at all; the message is half a sentence."""


class _AnyTagLoader(_FASTEST):  # type: ignore[misc]  # its base is known at run time only
    """Builds plain values of any tag."""


def _plain(loader: Any, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


_AnyTagLoader.add_multi_constructor("", _plain)
_AnyTagLoader.add_constructor(f"{_TAG}timestamp", lambda loader, node: node.value)


def read_yaml(text: str) -> Any:
    """Return the plain values of YAML that another tool wrote; None for an empty text.

    No tag builds an object (Lightning writes some): the plain content of the value is kept.

    Raises:
        LenientError: it is not YAML, or so large or deep that no person wrote it.
    """
    if len(text) > _LENIENT_BYTES:
        raise LenientError(f"it has more than {_LENIENT_BYTES >> 20} MB")
    try:
        _Meter(_LENIENT_DEPTH, _LENIENT_UNFOLDED).measure(text, _AnyTagLoader)
        return yaml.load(text, Loader=_AnyTagLoader)
    except _RefusedError as error:
        raise LenientError(f"it cannot be read: {error.message.rstrip('.')}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", see line {mark.line + 1}" if mark is not None else ""
        raise LenientError(f"it is not YAML{where}") from None
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise LenientError("it is not YAML that can be read") from None
