"""YAML text to a tree in which every key and value knows its line.

The language is PyYAML's YAML 1.1 with two departures: unquoted exponent floats (``1e-5``, ``5e-3``,
``1E5``) are floats, as their writers mean them, and dates stay text, because no parameter is a
date. Keys are always text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from orchestrator.errors import Problem, UsageError
from orchestrator.files import regular
from orchestrator.sweepfile.yaml.node import Log, Node, found

MAX_BYTES = 5_000_000
MAX_DEPTH = 50
MAX_UNFOLDED = 200_000  # values after all aliases are unfolded

TAG = "tag:yaml.org,2002:"
_EXPONENT_TAG = "tag:exponent"  # a float that YAML 1.1 takes for text
_EXPONENT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+\Z")
_BOUND = re.compile(r"\s*[<>]=?\s*\S")
_HOLDS_VALUES = re.compile(r"^parameters\..*\.values?$|^fixed\.|\.set\.")
FASTEST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def loader_with_exponents(base: Any) -> Any:
    """Return a loader that tags exponent floats which YAML 1.1 alone would take for text."""
    loader: Any = type("Loader", (base,), {})
    # Resolvers are asked in turn: what YAML 1.1 knows as a float keeps its own tag.
    loader.add_implicit_resolver(_EXPONENT_TAG, _EXPONENT, list("-+.0123456789"))
    return loader


_LOADER = loader_with_exponents(FASTEST)


def read_file(path: Path, log: Log) -> Node:
    """Return the tree of a sweep file; reading continues after duplicate keys and tags.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is not YAML, or no mapping; together with what `log` held already.
    """
    origin = str(path)
    try:
        with regular.open_file(path) as stream:
            raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{origin}: cannot read the sweep file: {reason}.") from None
    if len(raw) > MAX_BYTES:
        log.add("", f"larger than {MAX_BYTES // 1_000_000} MB.", origin)
        raise log.error()
    utf16 = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = raw.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        log.add("", "not UTF-8 text. Save it as UTF-8.", origin, line)
        raise log.error() from None
    root = _build(text, origin, log)
    if root.value is None:
        log.add("", "the file is empty. `sweep schema` lists its keys.", origin)
        raise log.error()
    if not isinstance(root.value, dict):
        # It may be any file, also a private one: what it holds is not quoted.
        kind = found(root) if not isinstance(root.value, str) else "text"
        log.at(root, "", f"expected a mapping with keys such as 'trainer:' (found {kind}).")
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
    return _build(text, origin, log, numbered=False)


def _build(text: str, origin: str, log: Log, *, numbered: bool = True) -> Node:
    try:
        measure(text, _LOADER, MAX_DEPTH, MAX_UNFOLDED)
        composed = yaml.compose(text, Loader=_LOADER)
        if composed is None:
            return Node(None, None, origin)
        return _Reader(origin, log, numbered).read(composed, "")
    except RefusedError as error:
        message, line = error.message, error.line
    except yaml.YAMLError as error:
        message, line = _explain(error, text)
    except UnicodeError:
        message, line = "not UTF-8 text.", None
    log.add("", message, origin, line if numbered else None)
    raise log.error()


class RefusedError(Exception):
    """A text cannot be read at all."""

    def __init__(self, where: Any, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.line = where.start_mark.line + 1


def measure(text: str, loader: Any, most_depth: int, most_values: int) -> None:
    """Refuse text that is too deep or unfolds to too much, before anything is built."""
    known: dict[str, tuple[int, int] | None] = {}  # anchor -> values, depth; None: open
    stack: list[tuple[str | None, int, int]] = []  # anchor, values and depth so far
    documents = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise RefusedError(event, "a second document starts here ('---'). Keep one.")
        anchor, values, depth = getattr(event, "anchor", None), 1, 1
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append((anchor, values, depth))
            values, depth = 0, len(stack)
            if anchor:
                known[anchor] = None
        elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
            if isinstance(event, yaml.CollectionEndEvent):
                anchor, values, depth = stack.pop()
            elif isinstance(event, yaml.AliasEvent):
                values, depth = _meant(known, event)
            if anchor:
                known[anchor] = values, depth
            if stack:
                outer, before, deepest = stack[-1]
                values, depth = before + values, max(deepest, depth + 1)
                stack[-1] = (outer, values, depth)
        if depth > most_depth:
            raise RefusedError(event, f"nested more than {most_depth} deep.")
        if values > most_values:
            raise RefusedError(event, f"more than {most_values:,} values, aliases unfolded.")


def _meant(known: Mapping[str, tuple[int, int] | None], event: Any) -> tuple[int, int]:
    """Return how many values an alias means, and how deep they are."""
    name = event.anchor
    if name not in known:
        message = f"no anchor &{name} above the alias *{name}."
        raise RefusedError(event, f"{message} Quote it if it is text: '*{name}'.")
    meant = known[name]
    if meant is None:
        raise RefusedError(event, f"the alias *{name} is inside &{name} itself.")
    return meant


_CONSTRUCTOR: Any = yaml.constructor.SafeConstructor()
_CONSTRUCT = {
    "int": _CONSTRUCTOR.construct_yaml_int,
    "float": _CONSTRUCTOR.construct_yaml_float,
    "bool": _CONSTRUCTOR.construct_yaml_bool,
}


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
            tag = self._tag_name(raw, key)
            lines: dict[str, int | None] = {}
            value: Any
            if isinstance(raw, yaml.MappingNode):
                value, lines = self._mapping(raw, key)
            elif isinstance(raw, yaml.SequenceNode):
                value = [
                    self.read(item, key if isinstance(item, yaml.ScalarNode) else _join(key, i))
                    for i, item in enumerate(raw.value)
                ]
            else:
                value = self._scalar(raw, tag, key)
            self._done[id(raw)] = Node(value, self._line(raw), self._origin, lines)
        return self._done[id(raw)]

    def _line(self, raw: Any) -> int | None:
        return raw.start_mark.line + 1 if self._numbered else None

    def _mapping(self, raw: Any, key: str) -> tuple[dict[str, Node], dict[str, int | None]]:
        """Return the entries of a mapping and the lines of their keys."""
        entries: dict[str, Node] = {}
        lines: dict[str, int | None] = {}
        merged: list[Node] = []
        for name, value in raw.value:
            if not isinstance(name, yaml.ScalarNode):
                raise RefusedError(name, "a key cannot be a list or a mapping.")
            if name.tag == f"{TAG}merge":
                merged += self._merged(value, key)
                continue
            inner = _join(key, name.value)
            node = self.read(value, inner)
            if name.value in entries:
                first = lines[name.value]
                where = f" It is on line {first} too; keep one." if first else ""
                self._log.add(inner, f"repeated key.{where}", self._origin, self._line(name))
                continue
            lines[name.value] = self._line(name)
            entries[name.value] = node
        for other in merged:
            for name, node in other.value.items():
                if name not in entries:
                    entries[name], lines[name] = node, other.key_lines[name]
        return entries, lines

    def _merged(self, raw: Any, key: str) -> list[Node]:
        """Return the mappings that a ``<<`` merges."""
        node = self.read(raw, key)
        others = node.value if isinstance(node.value, list) else [node]
        if not all(isinstance(other.value, dict) for other in others):
            raise RefusedError(raw, f"'<<' merges mappings only (found {found(node)}).")
        return others

    def _scalar(self, raw: Any, tag: str, key: str) -> Any:
        if tag not in _CONSTRUCT:
            return None if tag == "null" else raw.value
        try:
            value = _CONSTRUCT[tag](raw)
            if tag == "int" and value.bit_length() > 1000:  # Python may refuse to print it
                raise OverflowError
        except (ValueError, OverflowError, KeyError, IndexError):
            kind = "true or false" if tag == "bool" else "a number"
            message = f"expected {kind} (found {raw.value[:40]!r})."
            self._log.add(key, message, self._origin, self._line(raw))
            return None
        meant = _other_meaning(raw, tag, key, value)
        if meant:
            self._log.warnings.append(Problem(self._line(raw), key, meant, self._origin))
        return value

    def _tag_name(self, raw: Any, key: str) -> str:
        """Return the short name of a node's tag; dates and unknown tags are text."""
        tag: str = raw.tag
        if tag == _EXPONENT_TAG:
            if self._numbered:
                self._log.exponents.append(Problem(self._line(raw), key, raw.value, self._origin))
            return "float"
        name = tag.removeprefix(TAG) if tag.startswith(TAG) else ""
        if name in ("str", "null", "seq", "map", *_CONSTRUCT):
            return name
        if name not in ("timestamp", "value", "merge"):
            message = f"the tag {tag[:80]!r} builds an object. Remove the tag."
            self._log.add(key, message, self._origin, self._line(raw))
        return "str"


def _other_meaning(raw: Any, tag: str, key: str, value: Any) -> str:
    """Return a warning about a word that YAML 1.1 may read otherwise than its writer; else ""."""
    text: str = raw.value
    if raw.style:  # in quotes
        return ""
    if tag == "bool":
        if text.lower() in ("true", "false") or not _HOLDS_VALUES.search(key):
            return ""
        word = str(value).lower()
        return f"{text} is read as {word}. Write {word}, or '{text}' if it is text."
    if ":" in text:
        return f"{text} is read as {value}, in base 60. Write '{text}' if it is text."
    if tag == "int" and re.fullmatch(r"[-+]?0[0-7_]+", text) and value > 7:
        return f"{text} is read as {value}, in base 8. Write {value}, or '{text}' if it is text."
    return ""


def _join(key: str, name: str | int) -> str:
    return f"{key}.{name}" if key else str(name)


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
    macro = re.search(r"(?<![\"'])\$\{[^{}]*\}", here)
    if re.search(r":\s+[>|%@`*&!]", here):
        value = here.split(":", 1)[1].strip()
        hint = f' Quote the value: "{value[:40]}".'
    elif macro is not None:  # within [ ] and { } a brace ends a word
        hint = f' Quote what has braces: "{macro[0]}".'
    above = next((line for line in lines[row - 1 :: -1] if line.strip()), "") if row else ""
    depth = len(above) - len(above.lstrip())
    if re.match(r"\s*[\w.-]+:[\[{]", here):
        hint = " Write a space after the colon."
    elif not hint and depth != len(indent) and re.match(r"\s*[\w.-]+:(\s|$)", here):
        hint = f" It is indented by {len(indent)} spaces, the line above by {depth}: keys of one "
        hint += "mapping start in the same column."
    problem = getattr(error, "problem", None) or "unreadable"
    if "escape character" in problem:
        hint = " In double quotes a backslash needs another one. Write the text in single quotes."
    return f"not YAML: {problem}.{hint}", row + 1
