"""What a sweep file becomes before it is checked: ``extends``, ``${env:NAME}`` and ``--set``.

A file that extends another holds only what differs. Mappings such as ``fixed`` and ``parameters``
are joined entry by entry. Every value keeps the file and line in which it is written.

A ``--set`` path whose first part is a key of the sweep file changes the file
(``resources.gpu_memory=8GB``). Any other key is a parameter: one value is the strongest
everywhere (``lr=0.001``), a list becomes the parameter's values (``lr=[1e-4, 3e-4]``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.errors import SpecError, UsageError
from orchestrator.sweepfile.model.private import Private, is_secret
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.schema.options.presets import PRESET
from orchestrator.sweepfile.schema.sweep import JOINED_KEYS, SPEC
from orchestrator.sweepfile.yaml.node import Log, Node, found
from orchestrator.sweepfile.yaml.parse import read_file, read_value

KEY = "extends"
MAX_CHAIN = 20
_ENV = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")
_ENV_START = "${env:"


def read_whole(path: Path, log: Log) -> Node:
    """Return the tree of a sweep file, joined with those that it extends; mistakes go to `log`.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it, or one that it extends, is not YAML.
    """
    return _with_environment(_extended(path, log, []), "", log)


def _extended(path: Path, log: Log, chain: list[Path]) -> Node:
    root = read_file(path, log)
    node = root.get(KEY)
    if node is None:
        return root
    root = root.replaced(KEY, None)
    if node.value is None:
        return root
    if not isinstance(node.value, str) or not node.value.strip() or "\0" in node.value:
        log.at(node, KEY, f"expected the path of a sweep file (found {found(node)}).")
        return root
    chain = [*chain, Path(os.path.abspath(path))]
    other = Path(os.path.abspath(path.parent / Path(node.value)))
    if os.path.realpath(other) in {os.path.realpath(item) for item in chain}:
        names = " -> ".join(item.name for item in [*chain, other])
        log.at(node, KEY, f"circular extends: {names}.")
        return root
    if len(chain) >= MAX_CHAIN:
        log.at(node, KEY, f"more than {MAX_CHAIN} files extend one another.")
        return root
    try:
        base = _extended(other, log, chain)
        if base.value and not base.value.keys() & {*SPEC.keys, *SPEC.later}:
            log.at(node, KEY, f"{node.value!r} is not a sweep file: it has none of its keys.")
            return root
        return _joined(base, root)
    except SpecError:
        raise
    except UsageError as error:
        reason = str(error).partition("sweep file: ")[2] or str(error)
        log.at(node, KEY, f"cannot read {node.value!r}: {reason}")
        return root


def _joined(base: Node, over: Node) -> Node:
    """Return `base` with the keys of `over`; what is a mapping in both is joined."""
    entries: dict[str, Node] = {**base.value}
    for key, node in over.value.items():
        before = entries.get(key, node)
        if node.value is None:
            entries[key] = before  # a key without a value changes nothing
        elif key in JOINED_KEYS and isinstance(before.value, dict) and isinstance(node.value, dict):
            lines = {**before.key_lines, **node.key_lines}
            entries[key] = replace(node, value={**before.value, **node.value}, key_lines=lines)
        else:
            entries[key] = node
    return Node(entries, over.line, over.origin, {**base.key_lines, **over.key_lines})


def _with_environment(node: Node, key: str, log: Log) -> Node:
    """Return the tree with every ``${env:NAME}`` replaced."""
    value: Any = node.value
    if isinstance(value, dict):
        value = {
            name: _with_environment(item, join(key, name), log) for name, item in value.items()
        }
    elif isinstance(value, list):
        value = [_with_environment(item, f"{key}.{i}", log) for i, item in enumerate(value)]
    elif isinstance(value, str) and _ENV_START in value:
        value = _substituted(node, key, log)
    else:
        return node
    return replace(node, value=value)


def _substituted(node: Node, key: str, log: Log) -> Any:
    text: str = node.value
    if _ENV_START in _ENV.sub("", text):
        expected = "${env:NAME} or ${env:NAME:-DEFAULT}"
        log.at(node, key, f"expected a variable as {expected} (found {text[:60]!r}).")
        return None
    missing = [match[1] for match in _ENV.finditer(text) if _variable(match) is None]
    for name in missing:
        message = f"the environment variable {name} is not set."
        log.at(node, key, f"{message} Set it, or write ${{env:{name}:-DEFAULT}}.")
    if missing:
        return None
    values = {match[0]: _variable(match) or "" for match in _ENV.finditer(text)}
    result = _ENV.sub(lambda match: values[match[0]], text)
    whole = _ENV.fullmatch(text)
    if whole is not None and not is_secret(whole[1]) and not is_secret(key.rpartition(".")[2]):
        # Alone, it is what it would be if it were written there: a number, true, text.
        scalar = _scalar(result, node.origin)
        if not isinstance(scalar, str):
            return scalar
    known = log.private
    log.private = Private({**known.values, **values}, {**known.wholes, result: text})
    return result


def _variable(match: re.Match[str]) -> str | None:
    default: str | None = match[2]
    return os.environ.get(match[1], default)


def _scalar(text: str, origin: str) -> Any:
    """Return the scalar that a text is; what is no scalar stays text."""
    log = Log()
    try:
        value = read_value(text, origin, log).value
    except SpecError:
        return text
    return text if log.problems or isinstance(value, dict | list) else value


ORIGIN = "--set"
_EMPTY = Node({}, None, ORIGIN)
# Keys that may be written short, to the key of the long form that the short one means.
_SHORT = {"metric": "name", "args": "style", "sampler": "name", "seeds": "values"}


def apply(root: Node, texts: Sequence[str], log: Log) -> tuple[Node, dict[str, Node]]:
    """Return the tree as ``--set`` changes it, and the parameters that have one strongest value.

    A later text wins over an earlier one of the same key; mistakes go to `log`.
    """
    strongest: dict[str, Node] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not all(key.split(".")):
            log.add("", f"expected KEY=VALUE, such as lr=0.001 (found {text!r}).", ORIGIN)
            continue
        node = read_value(value, ORIGIN, log)
        several_seeds = key == "seed" and isinstance(node.value, list)
        if _is_spec_key(root, key) and not several_seeds:
            root = _set_path(root, key.split("."), node, "", log)
        elif isinstance(node.value, list):
            strongest.pop(key, None)
            root = _vary(root, key, node, log)
        else:
            strongest[key] = node
            root = _without(root, "parameters", key)
    return root, strongest


def for_preset(root: Node, preset: Any) -> Node:
    """Return the tree with what ``presets`` has for a preset in place of what it replaces."""
    block = (root.get("presets") or _EMPTY).get(preset) if isinstance(preset, str) else None
    entries = _entries(block)
    if block is None or not dict(entries).keys() <= PRESET.keys.keys():
        return root  # what is wrong is reported where it is written
    for key, node in entries:
        if key != "trials":
            root = root.replaced(key, node)
        for title, entry in _entries(node) if key == "trials" else ():
            for inner, value in _entries(entry):
                root = _set_path(root, ["trials", title, inner], value, "", Log())
    # What has moved is checked in its new place.
    rest = root.value["presets"].replaced(preset, None)
    return root.replaced("presets", rest if rest.value else None)


def parameter_names(root: Node) -> set[str]:
    """Return every parameter that the file names anywhere."""
    ablate = root.get("ablate") or _EMPTY
    holders = [
        root.get("fixed"),
        root.get("parameters"),
        (ablate.get("baseline") or _EMPTY).get("set"),
    ]
    groups = [root.get("trials"), root.get("stages"), root.get("remedy"), ablate.get("changes")]
    for group in groups:
        holders += [entry.get("set") for _, entry in _entries(group)]
    return {
        name
        for holder in holders
        for key, node in _entries(holder)
        for name in _with_nested(key, node)
    }


def _entries(node: Node | None) -> list[tuple[str, Node]]:
    """Return the entries of a mapping; none for anything else."""
    return list(node.value.items()) if node is not None and isinstance(node.value, dict) else []


def _with_nested(name: str, node: Node) -> Iterator[str]:
    """Yield a parameter and the joined names of those inside its block."""
    yield name
    for key, item in _entries(node.get("parameters")):
        yield from _with_nested(f"{name}.{key}", item)


def _is_spec_key(root: Node, key: str) -> bool:
    first = key.partition(".")[0]
    if first in SPEC.keys:
        return True
    return first in {**SPEC.later, **SPEC.ignored} and key not in parameter_names(root)


def _set_path(node: Node, parts: list[str], value: Node, above: str, log: Log) -> Node:
    """Return `node` with `value` at the path `parts`, making the mappings that are missing."""
    if not parts:
        return value
    if not isinstance(node.value, dict):
        if node.value is None:
            node = _EMPTY
        elif above in _SHORT and not isinstance(node.value, list):
            node = Node({_SHORT[above]: node}, node.line, node.origin, {_SHORT[above]: node.line})
        else:
            key = join(above, *parts)
            log.add(key, f"cannot be set, since '{above}' is {found(node)}.", ORIGIN)
            return node
    part, rest = _longest(node, parts)
    if above == "parameters" and rest in (["value"], ["values"]):
        # A new choice replaces the whole block: a range would contradict it.
        return node.replaced(part, _EMPTY.replaced(rest[0], value))
    inner = node.get(part) or Node(None, None, ORIGIN)
    return node.replaced(part, _set_path(inner, rest, value, join(above, part), log))


def _longest(node: Node, parts: list[str]) -> tuple[str, list[str]]:
    """Split a path after its first key; a key that is there may itself contain dots."""
    for length in range(len(parts), 1, -1):
        if ".".join(parts[:length]) in node.value:
            return ".".join(parts[:length]), parts[length:]
    return parts[0], parts[1:]


def _without(node: Node, *path: str) -> Node:
    """Return a mapping without the entry at a path; the same mapping if it has no such entry."""
    inner = node.get(path[0])
    if inner is None:
        return node
    if len(path) == 1:
        return node.replaced(path[0], None)
    below = _without(inner, *path[1:])
    return node if below is inner else node.replaced(path[0], below)


def _vary(root: Node, name: str, values: Node, log: Log) -> Node:
    """Return the tree in which `name` takes `values` and nothing else sets it."""
    parameters = root.get("parameters") or _EMPTY
    if parameters.value is None:
        parameters = _EMPTY
    if isinstance(parameters.value, dict):
        block = _EMPTY.replaced("values", values)
        path = None if name in parameters.value else _inside(parameters, name.split("."))
        root = root.replaced("parameters", _set_path(parameters, path or [name], block, "", log))
    root = _without(root, "fixed", name)
    for group in ("trials", "stages"):
        for title, _ in _entries(root.get(group)):
            root = _without(root, group, title, "set", name)
    return root


def _inside(parameters: Node, parts: list[str]) -> list[str] | None:
    """Return the path of a parameter inside others, by its parts; None if there is none."""
    for length in range(1, len(parts)):
        name, rest = ".".join(parts[:length]), parts[length:]
        inner = (parameters.get(name) or _EMPTY).get("parameters") or _EMPTY
        if inner.get(".".join(rest)) is not None:
            return [name, "parameters", ".".join(rest)]
        below = _inside(inner, rest)
        if below is not None:
            return [name, "parameters", *below]
    return None
