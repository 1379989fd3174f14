"""Find the records that the modules of a package define, so that adding one is adding a file.

A symptom, a log reader or a command is one module with one record in it. The package of these
modules is their list; no second list has to be kept up to date.
"""

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
    """Yield the attribute of every module of `package` that has it, in the order of their names.

    Args:
        package: full name, such as ``orchestrator.divergence.symptoms``.
        attribute: name of the record in each module, such as ``SYMPTOM``.
    """
    for name in module_names(package):
        module = importlib.import_module(f"{package}.{name}")
        if hasattr(module, attribute):
            yield getattr(module, attribute)
