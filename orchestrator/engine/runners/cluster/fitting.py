"""Whether a node can run the trials of a sweep: its environment and its files. Pure."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

PACKAGES = ("sweep-orchestrator", "torch", "ray")
"""Packages whose versions must be the driver's."""


def environment() -> dict[str, str | None]:
    """Return the versions of Python and `PACKAGES` here; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        found[name] = None
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def misfit(there: Mapping[str, Any], here: Mapping[str, str | None], *, trains: bool) -> str:
    """Return why trials cannot run on a node, for people; "" if they can.

    Args:
        there: what its agent describes.
        here: the driver's environment.
        trains: whether trials run a trainer, which needs torch.
    """
    if there["missing"]:
        return f"it has no {there['missing'][0]}"
    for name, version in here.items():
        # A script may use another Python with a torch of its own.
        if name == "torch" and not trains:
            continue
        # The last part of Python's version changes nothing for us, nor does torch's build.
        known = _main(name, there.get(name))
        if known != _main(name, version):
            found = f"{name} {there.get(name)}" if there.get(name) else f"no {name}"
            return f"it has {found}, and this machine {version or 'none'}"
    return ""


def _main(name: str, version: str | None) -> str | None:
    if version is None:
        return None
    return version.rpartition(".")[0] if name == "python" else version.partition("+")[0]
