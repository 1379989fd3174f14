"""Parameters that are paths: made absolute before a trial starts, and looked for.

A path in a sweep file starts at the file's folder, wherever the sweep is started from, also in a
file that another one extends; one typed behind ``--set`` starts where it was typed.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from orchestrator.sweepfile.checks.context import Draft
from orchestrator.sweepfile.overrides import ORIGIN
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.space.domain import Declared
from orchestrator.sweepfile.yaml.node import Node


def folder_of(node: Node) -> Path:
    """Return the absolute folder of the file in which a value stands."""
    return Path(os.path.abspath(node.origin)).parent


def settle_paths(draft: Draft, need: bool) -> None:
    """Make the values of all parameters that are paths absolute, in place.

    Args:
        draft: a draft whose parameters were checked against the trainer's.
        need: True where a path that is not there is a mistake; a warning otherwise.
    """
    if draft.schema is None:
        return
    names = {name for name, known in draft.schema.parameters.items() if known.is_path}

    def settle(node: Node, key: str) -> Node:
        if not isinstance(node.value, str):
            return node
        start = Path.cwd() if node.origin == ORIGIN else folder_of(node)
        path = Path(os.path.abspath(start / Path(node.value).expanduser()))
        if not os.path.exists(path):
            tell = draft.log.at if need else draft.log.warn
            tell(node, key, f"must be a file or folder that is there, but there is no {path}.")
        return Node(str(path), node.line, node.origin)

    def settle_domain(name: str, declared: Declared) -> Declared:
        nodes = [node for key, node in declared.leaves() if key in ("value", "values")]
        settled = [settle(node, join("parameters", name)).value for node in nodes]
        return replace(declared, domain=replace(declared.domain, values=tuple(settled)))

    for path, settings in draft.settings():
        for name in names & settings.keys():
            settings[name] = settle(settings[name], join(*path, name))
    draft.strongest = {
        name: settle(node, name) if name in names else node
        for name, node in draft.strongest.items()
    }
    draft.parameters = {
        name: settle_domain(name, declared) if name in names else declared
        for name, declared in draft.parameters.items()
    }
