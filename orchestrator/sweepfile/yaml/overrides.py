"""``--set KEY=VALUE``: what the command line changes in a sweep file.

A path whose first part is a key of the sweep file changes the file before it is checked
(``resources.gpu_memory=8GB``). Any other key is a parameter: one value is the strongest
everywhere (``lr=0.001``), a list becomes the parameter's values (``lr=[1e-4, 3e-4]``).
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.schema.sweep import SPEC
from orchestrator.sweepfile.yaml.node import Log, Node, found
from orchestrator.sweepfile.yaml.parse import read_value

ORIGIN = "--set"
# Keys that may be written short, and the key of the long form that the short one stands for.
_SHORT = {"metric": "name", "args": "style", "sampler": "name", "seeds": "values"}


def apply(root: Node, texts: Sequence[str], log: Log) -> tuple[Node, dict[str, Node]]:
    """Return the changed tree, and the parameters that have one strongest value.

    Args:
        root: the file's tree; it stays as it is.
        texts: ``KEY=VALUE`` each; a later one wins over an earlier one of the same key.
        log: takes what is wrong with them.
    """
    strongest: dict[str, Node] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not all(key.split(".")):
            log.add("", f"must be KEY=VALUE, as lr=0.001, but got {text!r}.", ORIGIN)
            continue
        node = read_value(value, ORIGIN, log)
        several_seeds = key == "seed" and isinstance(node.value, list)
        if _is_spec_key(root, key) and not several_seeds:
            root = _set_path(root, key.split("."), node, "", log)
        elif isinstance(node.value, list):
            strongest.pop(key, None)
            root = _vary(root, key, node)
        else:
            strongest[key] = node
            root = _without_parameter(root, key)
    return root, strongest


def parameter_names(root: Node) -> set[str]:
    """Return every parameter that the file names anywhere."""
    names: set[str] = set()
    holders = [root.get("fixed"), root.get("parameters")]
    ablate = root.get("ablate")
    groups = [root.get("trials"), root.get("stages"), root.get("remedy")]
    if ablate is not None:
        baseline = ablate.get("baseline")
        holders.append(baseline.get("set") if baseline is not None else None)
        groups.append(ablate.get("changes"))
    for node in groups:
        if node is not None and isinstance(node.value, dict):
            holders += [entry.get("set") for entry in node.value.values()]
    for holder in holders:
        if holder is not None and isinstance(holder.value, dict):
            names |= holder.value.keys()
            names |= {name for key, node in holder.value.items() for name in _nested(key, node)}
    return names


def _nested(name: str, node: Node) -> list[str]:
    """Return the joined names of the parameters inside a block."""
    inner = node.get("parameters")
    if inner is None or not isinstance(inner.value, dict):
        return []
    found = [f"{name}.{key}" for key in inner.value]
    return [
        *found,
        *(n for key, item in inner.value.items() for n in _nested(f"{name}.{key}", item)),
    ]


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
            node = Node({}, None, ORIGIN)
        elif above in _SHORT and not isinstance(node.value, list):
            node = Node({_SHORT[above]: node}, node.line, node.origin, {_SHORT[above]: node.line})
        else:
            key = join(above, ".".join(parts))
            log.add(key, f"must stand in a mapping, but '{above}' is {found(node)}.", ORIGIN)
            return node
    part, rest = _longest(node, parts)
    if above == "parameters" and rest in (["value"], ["values"]):
        # A new choice replaces a range, which could not stand beside it.
        return node.replaced(part, Node({rest[0]: value}, None, ORIGIN, {rest[0]: None}))
    inner = node.get(part) or Node(None, None, ORIGIN)
    return node.replaced(part, _set_path(inner, rest, value, join(above, part), log))


def _longest(node: Node, parts: list[str]) -> tuple[str, list[str]]:
    """Split a path after its first key; a key that is there may itself hold dots."""
    for length in range(len(parts), 1, -1):
        if ".".join(parts[:length]) in node.value:
            return ".".join(parts[:length]), parts[length:]
    return parts[0], parts[1:]


def _without_parameter(root: Node, name: str) -> Node:
    parameters = root.get("parameters")
    if parameters is None or parameters.get(name) is None:
        return root
    return root.replaced("parameters", parameters.replaced(name, None))


def _inside(parameters: Node, parts: list[str]) -> list[str] | None:
    """Return the path of a parameter that stands inside others, by its parts; None for none."""
    for length in range(1, len(parts)):
        name = ".".join(parts[:length])
        inner = (parameters.get(name) or parameters).get("parameters")
        if parameters.get(name) is None or inner is None:
            continue
        rest = ".".join(parts[length:])
        if inner.get(rest) is not None:
            return [name, "parameters", rest]
        below = _inside(inner, parts[length:])
        if below is not None:
            return [name, "parameters", *below]
    return None


def _put(node: Node, path: list[str], value: Node) -> Node:
    """Return `node` with `value` at a path whose mappings are all there."""
    if len(path) == 1:
        return node.replaced(path[0], value)
    return node.replaced(path[0], _put(node.value[path[0]], path[1:], value))


def _vary(root: Node, name: str, values: Node) -> Node:
    """Return the tree in which `name` takes `values` and nothing else sets it."""
    block = Node({"values": values}, None, ORIGIN, {"values": None})
    parameters = root.get("parameters") or Node({}, None, ORIGIN)
    if isinstance(parameters.value, dict):
        path = None if name in parameters.value else _inside(parameters, name.split("."))
        root = root.replaced("parameters", _put(parameters, path or [name], block))
    elif parameters.value is None:
        empty = Node({}, None, ORIGIN)
        root = root.replaced("parameters", empty.replaced(name, block))
    fixed = root.get("fixed")
    if fixed is not None and fixed.get(name) is not None:
        root = root.replaced("fixed", fixed.replaced(name, None))
    for group in ("trials", "stages"):
        holder = root.get(group)
        if holder is None or not isinstance(holder.value, dict):
            continue
        for title, entry in holder.value.items():
            settings = entry.get("set")
            if settings is not None and settings.get(name) is not None:
                emptied = entry.replaced("set", settings.replaced(name, None))
                holder = holder.replaced(title, emptied)
        root = root.replaced(group, holder)
    return root
