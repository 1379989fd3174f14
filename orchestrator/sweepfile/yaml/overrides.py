"""``--set KEY=VALUE``: what the command line changes in a sweep file.

A path whose first part is a key of the sweep file changes the file before it is checked
(``resources.gpu_memory=8GB``). Any other key is a parameter: one value is the strongest
everywhere (``lr=0.001``), a list becomes the parameter's values (``lr=[1e-4, 3e-4]``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.schema.sweep import SPEC
from orchestrator.sweepfile.yaml.node import Log, Node, found
from orchestrator.sweepfile.yaml.parse import read_value

ORIGIN = "--set"
_EMPTY = Node({}, None, ORIGIN)
# Keys that may be written short, to the key of the long form that the short one means.
_SHORT = {"metric": "name", "args": "style", "sampler": "name", "seeds": "values"}


def apply(root: Node, texts: Sequence[str], log: Log) -> tuple[Node, dict[str, Node]]:
    """Return the changed tree, and the parameters that have one strongest value.

    Args:
        root: the file's tree; it stays as it is.
        texts: ``KEY=VALUE`` each; a later one wins over an earlier one of the same key.
        log: collects their mistakes.
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
            root = _vary(root, key, node)
        else:
            strongest[key] = node
            root = _without(root, "parameters", key)
    return root, strongest


def parameter_names(root: Node) -> set[str]:
    """Return every parameter that the file names anywhere."""
    ablate = root.get("ablate") or _EMPTY
    holders = [root.get("fixed"), root.get("parameters")]
    holders.append((ablate.get("baseline") or _EMPTY).get("set"))
    for group in (
        root.get("trials"),
        root.get("stages"),
        root.get("remedy"),
        ablate.get("changes"),
    ):
        if group is not None and isinstance(group.value, dict):
            holders += [entry.get("set") for entry in group.value.values()]
    return {
        name
        for holder in holders
        if holder is not None and isinstance(holder.value, dict)
        for key, node in holder.value.items()
        for name in _with_nested(key, node)
    }


def _with_nested(name: str, node: Node) -> Iterator[str]:
    """Yield a parameter and the joined names of those inside its block."""
    yield name
    inner = node.get("parameters")
    if inner is not None and isinstance(inner.value, dict):
        for key, item in inner.value.items():
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
            key = join(above, ".".join(parts))
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


def _vary(root: Node, name: str, values: Node) -> Node:
    """Return the tree in which `name` takes `values` and nothing else sets it."""
    parameters = root.get("parameters") or _EMPTY
    if parameters.value is None:
        parameters = _EMPTY
    if isinstance(parameters.value, dict):
        block = _EMPTY.replaced("values", values)
        path = None if name in parameters.value else _inside(parameters, name.split("."))
        root = root.replaced("parameters", _put(parameters, path or [name], block))
    root = _without(root, "fixed", name)
    for group in ("trials", "stages"):
        holder = root.get(group)
        if holder is not None and isinstance(holder.value, dict):
            for title in holder.value:
                root = _without(root, group, title, "set", name)
    return root


def _inside(parameters: Node, parts: list[str]) -> list[str] | None:
    """Return the path of a parameter inside others, by its parts; None if there is none."""
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
