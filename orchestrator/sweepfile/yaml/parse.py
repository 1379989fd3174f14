"""YAML text to a tree in which every key and value knows its line.

The language is PyYAML's YAML 1.1 with two departures: unquoted exponent floats (``1e-5``, ``5e-3``,
``1E5``) are floats, as their writers mean them, and dates stay text, because no parameter is a
date. Quoted scalars stay text. Keys are always text, as they are written.

The tree is built from the parser's events without recursion, so depth and aliases are bounded
before they can do harm, and libyaml's speed is used where PyYAML was built with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import Problem, UsageError
from orchestrator.sweepfile.yaml.node import Log, Node, found

MAX_BYTES = 5_000_000
MAX_DEPTH = 50
MAX_UNFOLDED = 200_000  # values after all aliases are unfolded

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {"str", "int", "float", "bool", "null", "seq", "map"}
_EXPONENT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+\Z")
_BOUND = re.compile(r"\s*[<>]=?\s*\S")


class _Resolver(yaml.resolver.Resolver):
    """PyYAML's rules for what a plain scalar is, and exponent floats."""


_Resolver.add_implicit_resolver(f"{_TAG}float", _EXPONENT, list("-+.0123456789"))
_RESOLVER: Any = _Resolver()
_PLAIN_RESOLVER: Any = yaml.resolver.Resolver()
_CONSTRUCTOR: Any = yaml.constructor.SafeConstructor()


def read_file(path: Path, log: Log) -> Node:
    """Return the tree of a sweep file.

    Duplicate keys and tags that build objects are added to `log`; reading goes on after them.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is not YAML, or no mapping; together with what stood in `log` already.
    """
    origin = str(path)
    try:
        size = path.stat().st_size
        raw = path.read_bytes() if size <= MAX_BYTES else b""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{origin}: must be a sweep file, but got: {reason}.") from None
    if size > MAX_BYTES or len(raw) > MAX_BYTES:
        log.add("", f"must be at most {MAX_BYTES // 1_000_000} MB, but has {size:,} bytes.", origin)
        raise log.error()
    utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = raw.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        log.add("", "must be UTF-8 text, but has other bytes. Save it as UTF-8.", origin, line)
        raise log.error() from None
    root = _build(text, origin, log)
    if root is None or root.value is None:
        log.add("", "must hold a sweep, but is empty. `sweep schema` lists its keys.", origin)
        raise log.error()
    if not isinstance(root.value, dict):
        log.add(
            "",
            f"must be a mapping with keys such as 'trainer:', but got {found(root)}.",
            origin,
            root.line,
        )
        raise log.error()
    return root


def read_value(text: str, origin: str, log: Log) -> Node:
    """Return the tree of one value from the command line; it has no lines.

    A bound such as ``>= 0.98`` is text, though YAML would take its ``>`` for a folded block.

    Raises:
        SpecError: it is not YAML; together with what stood in `log` already.
    """
    if _BOUND.match(text):
        return Node(text.strip(), None, origin)
    root = _build(text, origin, log, numbered=False)
    return root if root is not None else Node(None, None, origin)


@dataclass(slots=True)
class _Frame:
    """A collection that is being read."""

    line: int | None
    anchor: str | None
    items: list[Node] | None = None  # of a list
    entries: dict[str, Node] = field(default_factory=dict)  # of a mapping
    lines: dict[str, int | None] = field(default_factory=dict)
    merges: list[Node] = field(default_factory=list)
    key: str | None = None
    merging: bool = False
    size: int = 1
    depth: int = 1


class _Builder:
    """Puts events together; one for each text."""

    def __init__(self, origin: str, log: Log, numbered: bool) -> None:
        self.origin = origin
        self.log = log
        self.numbered = numbered
        self.anchors: dict[str, Node | None] = {}
        self.stack: list[_Frame] = []
        self.root: Node | None = None

    def line(self, event: Any) -> int | None:
        return event.start_mark.line + 1 if self.numbered else None

    def fail(self, event: Any, message: str) -> Exception:
        """Add the problem after which reading cannot go on, and return the error to raise."""
        self.log.add("", message, self.origin, self.line(event))
        return self.log.error()

    def take(self, event: Any) -> None:
        """Take the next event."""
        if isinstance(event, yaml.ScalarEvent):
            self.take_scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self.open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self.close(event)
        elif isinstance(event, yaml.AliasEvent):
            self.take_alias(event)
        elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise self.fail(event, "must hold one document, but another one starts here ('---').")

    def take_scalar(self, event: Any) -> None:
        frame = self.stack[-1] if self.stack else None
        line = self.line(event)
        if frame is not None and frame.items is None and frame.key is None and not frame.merging:
            if event.anchor:
                self.anchors[event.anchor] = Node(event.value, line, self.origin)
            if event.value == "<<" and event.implicit[0]:
                frame.merging = True
                return
            self.start_entry(frame, event.value, line)
            return
        self.put(Node(self.scalar(event, line), line, self.origin), event, event.anchor)

    def start_entry(self, frame: _Frame, key: str, line: int | None) -> None:
        if key in frame.lines:
            first = frame.lines[key]
            where = f" It stands on line {first} too; keep one." if first else ""
            message = f"must stand once, but is repeated.{where}"
            self.log.add(".".join([*self.path(), key]), message, self.origin, line)
        else:
            frame.lines[key] = line
        frame.key = key

    def path(self) -> list[str]:
        """Return the keys that lead to the collection being read."""
        return [
            frame.key if frame.key is not None else str(len(frame.items or ()))
            for frame in self.stack[:-1]
            if not frame.merging
        ]

    def here(self) -> str:
        """Return the key of the value being read."""
        return ".".join([*self.path(), *([self.stack[-1].key or ""] if self.stack else [])])

    def note_exponent(self, event: Any, line: int | None) -> None:
        """Note a number that YAML 1.1 alone would take for text."""
        if event.tag is None and line is not None:
            tag = _PLAIN_RESOLVER.resolve(yaml.ScalarNode, event.value, (True, False))
            if tag == f"{_TAG}str":
                key = self.here().rstrip(".")
                self.log.exponents.append(Problem(line, key, event.value, self.origin))

    def scalar(self, event: Any, line: int | None) -> Any:
        tag = event.tag
        if tag is None or tag == "!":
            plain = event.implicit[0] and tag is None
            tag = _RESOLVER.resolve(yaml.ScalarNode, event.value, (plain, not plain))
        name = self.tag_name(tag, line)
        if name not in ("int", "float", "bool", "null"):
            return event.value
        if name == "null":
            return None
        node = yaml.ScalarNode(tag, event.value)
        try:
            if name == "int":
                number: int = _CONSTRUCTOR.construct_yaml_int(node)
                if number.bit_length() > 1000:  # Python may refuse to print it
                    raise OverflowError
                return number
            if name == "float":
                self.note_exponent(event, line)
                return _CONSTRUCTOR.construct_yaml_float(node)
            return _CONSTRUCTOR.construct_yaml_bool(node)
        except (ValueError, OverflowError, KeyError, IndexError):
            kind = "true or false" if name == "bool" else "a number"
            got = repr(event.value[:40])
            self.log.add(self.here(), f"must be {kind}, but got {got}.", self.origin, line)
            return None

    def tag_name(self, tag: str, line: int | None) -> str:
        """Return the short name of a tag; dates and unknown tags are text."""
        name = tag.removeprefix(_TAG) if tag.startswith(_TAG) else ""
        if name in _PLAIN_TAGS:
            return name
        if name not in ("timestamp", "value", "merge"):
            message = f"must be plain values, but has the tag {tag[:80]!r}, which builds an object."
            self.log.add(self.here(), f"{message} Remove the tag.", self.origin, line)
        return "str"

    def open(self, event: Any) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.items is None and frame.key is None and not frame.merging:
            raise self.fail(event, "a key must be a word, but got a list or a mapping.")
        if len(self.stack) >= MAX_DEPTH:
            raise self.fail(event, f"must be nested at most {MAX_DEPTH} deep, but goes deeper.")
        if event.tag and event.tag != "!":
            self.tag_name(event.tag, self.line(event))
        if event.anchor:
            self.anchors[event.anchor] = None
        items: list[Node] | None = [] if isinstance(event, yaml.SequenceStartEvent) else None
        self.stack.append(_Frame(self.line(event), event.anchor, items))

    def close(self, event: Any) -> None:
        frame = self.stack.pop()
        value: Any = frame.entries if frame.items is None else frame.items
        for other in frame.merges:
            for key, node in other.value.items():
                if key not in frame.lines:
                    frame.entries[key] = node
                    frame.lines[key] = other.key_lines[key]
        node = Node(value, frame.line, self.origin, frame.lines, frame.size, frame.depth)
        self.put(node, event, frame.anchor)

    def take_alias(self, event: Any) -> None:
        frame = self.stack[-1] if self.stack else None
        if event.anchor not in self.anchors:
            text = f"*{event.anchor}"
            message = f"{text} must name an anchor, but there is no &{event.anchor} above it."
            raise self.fail(event, f"{message} Quote it if it is text: '{text}'.")
        node = self.anchors[event.anchor]
        if node is None:
            raise self.fail(event, f"*{event.anchor} must not stand inside itself, but does.")
        if frame is not None and frame.items is None and frame.key is None and not frame.merging:
            if isinstance(node.value, dict | list):
                raise self.fail(event, "a key must be a word, but got a list or a mapping.")
            self.start_entry(frame, str(node.value), self.line(event))
            return
        self.put(node, event, None)

    def put(self, node: Node, event: Any, anchor: str | None) -> None:
        """Add a finished node to the collection around it."""
        if anchor:
            self.anchors[anchor] = node
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        frame.size += node.size
        frame.depth = max(frame.depth, node.depth + 1)
        if frame.depth > MAX_DEPTH:
            raise self.fail(event, f"must be nested at most {MAX_DEPTH} deep, but goes deeper.")
        if frame.size > MAX_UNFOLDED:
            raise self.fail(
                event, f"must hold at most {MAX_UNFOLDED:,} values, aliases unfolded, but has more."
            )
        if frame.items is not None:
            frame.items.append(node)
        elif frame.merging:
            frame.merging = False
            others = node.value if isinstance(node.value, list) else [node]
            if not all(isinstance(other.value, dict) for other in others):
                raise self.fail(event, f"'<<' must merge a mapping, but got {found(node)}.")
            frame.merges.extend(others)
        elif frame.key is not None:
            frame.entries.setdefault(frame.key, node)
            frame.key = None


def _build(text: str, origin: str, log: Log, *, numbered: bool = True) -> Node | None:
    builder = _Builder(origin, log, numbered)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.YAMLError as error:
        message, line = _explain(error, text)
        log.add("", message, origin, line if numbered else None)
        raise log.error() from None
    except UnicodeError:
        log.add("", "must be UTF-8 text, but has other characters.", origin)
        raise log.error() from None
    return builder.root


def _explain(error: yaml.YAMLError, text: str) -> tuple[str, int | None]:
    """Return one sentence for a syntax error, and its line."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        reason = getattr(error, "reason", None) or "unreadable"
        position = getattr(error, "position", None)
        line = text.count("\n", 0, position) + 1 if isinstance(position, int) else None
        return f"must be YAML text, but got: {reason}.", line
    lines = text.splitlines()
    row = min(mark.line, max(len(lines) - 1, 0))
    here = lines[row] if lines else ""
    indent = here[: len(here) - len(here.lstrip())]
    if "\t" in indent or here[mark.column : mark.column + 1] == "\t":
        return "must be indented with spaces, but has a tab.", row + 1
    problem = getattr(error, "problem", None) or "unreadable"
    hint = ""
    if re.search(r":\s+[>|%@`*&!]", here):
        value = here.split(":", 1)[1].strip()
        hint = f' Quote the value: "{value[:40]}".'
    macro = re.search(r"(?<![\"'])\$\{[^{}]*\}", here)
    if macro is not None and not hint:  # within [ ] and { } a brace ends a word
        hint = f' Quote what has braces: "{macro[0]}".'
    return f"must be YAML, but got: {problem}.{hint}", row + 1
