"""Find the records that the modules of a package define: the package is their only list."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any


def module_names(package: str) -> list[str]:
    """Return the names of the modules directly in `package`, sorted, without loading them."""
    path = importlib.import_module(package).__path__
    return sorted(info.name for info in pkgutil.iter_modules(path) if not info.ispkg)


def records(package: str, attribute: str) -> Iterator[Any]:
    """Yield the attribute, such as ``SYMPTOM``, of every module of `package` that has it."""
    for name in module_names(package):
        module = importlib.import_module(f"{package}.{name}")
        if hasattr(module, attribute):
            yield getattr(module, attribute)
