"""Load a user's trainer in a separate process and write what it declares.

::

    python -P -m trainers.describe NAME FOLDER OUTPUT

The user's module may import torch, be slow or crash, so the caller waits with a time limit and
reads OUTPUT: one JSON object with ``error``, or with the fields of the orchestrator's
`TrainerSchema` and ``sources``, the loaded files, which show whether the result is still current.
"""

from __future__ import annotations

import json
import sys
import sysconfig
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainers.loading import Trainer, TrainerError, load_trainer


def describe(trainer: Trainer) -> dict[str, Any]:
    """Return the declarations of a trainer, in JSON types."""
    declared = [
        {**asdict(known), "type": known.type.__name__} for known in trainer.parameters.values()
    ]
    return {
        "name": trainer.name,
        "description": trainer.description,
        "takes_anything": trainer.config is None,
        "parameters": declared,
        "presets": {name: dict(values) for name, values in trainer.presets.items()},
        "metrics": {name: asdict(metric) for name, metric in trainer.metrics.items()},
        "data_kind": trainer.data_kind,
        "goals": dict(trainer.goals),
    }


def sources() -> list[list[Any]]:
    """Return path, modification time (ns) and size of each loaded file that is not installed."""
    paths = sysconfig.get_paths()
    installed = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found = []
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if not isinstance(path, str) or any(path.startswith(f"{root}/") for root in installed):
            continue
        try:
            status = Path(path).stat()
        except OSError:
            continue
        found.append([path, status.st_mtime_ns, status.st_size])
    return sorted(found)


def main(arguments: list[str]) -> None:
    """Describe one trainer; see the module's docstring."""
    name, folder, output = arguments
    try:
        found = describe(load_trainer(name, folder))
    except TrainerError as error:
        found = {"error": str(error)}
    found["sources"] = sources()
    try:
        text = json.dumps(found)
    except (TypeError, ValueError) as error:
        text = json.dumps({"error": f"{name}: its declarations must be plain values ({error})"})
    Path(output).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
