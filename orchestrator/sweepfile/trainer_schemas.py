"""What a trainer declares, reached by its name: parameters, presets, metrics.

Of a trainer that ships, only ``config.py`` is imported, which loads no torch, so a sweep file is
checked in milliseconds. The user's own may load torch, take its time or crash the interpreter, so
another process imports it (`trainers.describe`), with a time limit and without a GPU. The result
is cached, and read again when one of the source files has changed.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError, nearest
from orchestrator.files import atomic, caching

PACKAGE = "trainers"
TIMEOUT_S = 60.0
"""How long a module may take to import; torch takes a second or two, a cold disk some more."""

_LONGEST_OUTPUT = 2_000
_FORMAT = 1


@dataclass(frozen=True)
class TrainerParameter:
    """One parameter of a trainer, as `trainers.base.Parameter` declares it.

    Attributes:
        type: one of bool, int, float, str.
        low: least value, inclusive, as `high` is the greatest; None for no bound.
        choices: the only values; empty for any.
        alters_loss: True if it changes what the loss means.
        alters_memory: True if it changes the memory that a trial takes.
    """

    name: str
    type: type
    default: Any
    help: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    nullable: bool = False
    alters_loss: bool = False
    alters_memory: bool = False
    is_path: bool = False


@dataclass(frozen=True)
class TrainerMetric:
    """One reported metric of a trainer, as `trainers.base.Metric` declares it.

    Attributes:
        is_loss: True if its value depends on parameters that alter the loss.
    """

    goal: Any = "minimize"
    unit: str = ""
    is_loss: bool = False


@dataclass(frozen=True)
class TrainerSchema:
    """What a trainer declares, in its order.

    Attributes:
        presets: preset name to the values that it sets.
        data_kind: what its arrays are, such as ``decay_curve``.
        takes_anything: True if it declares no parameters and takes whatever is given.
    """

    name: str
    parameters: Mapping[str, TrainerParameter]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metrics: Mapping[str, TrainerMetric] = field(default_factory=dict)
    data_kind: str = ""
    description: str = ""
    takes_anything: bool = False

    @property
    def default_metric(self) -> str | None:
        """The first validation metric that stays comparable when the loss changes."""
        validation = (name for name in self.metrics if name.startswith("val_"))
        return next((name for name in validation if not self.metrics[name].is_loss), None)


def trainer_names() -> list[str]:
    """Return the names of the installed trainers: the packages that have a ``config.py``."""
    folders = [Path(folder) for folder in importlib.import_module(PACKAGE).__path__]
    return sorted(path.parent.name for folder in folders for path in folder.glob("*/config.py"))


def is_own(name: str) -> bool:
    """Return whether `name` is a module of the user's own, as ``my_package.my_trainer:train``."""
    return "." in name or ":" in name


def trainer_schema(name: str, folder: Path | None = None) -> TrainerSchema:
    """Return what the trainer called `name` declares.

    The user's own (``my_package.my_trainer:train``) is searched in `folder`, by default the
    working folder, before the environment.

    Raises:
        UsageError: there is no such trainer, or what declares it cannot be loaded.
    """
    schema = _own_schema(inspect_trainer(name, folder)) if is_own(name) else _shipped_schema(name)
    preset = schema.parameters.get("preset")
    if preset is None or not schema.presets or preset.choices:
        return schema
    preset = replace(preset, choices=tuple(schema.presets))
    return replace(schema, parameters={**schema.parameters, "preset": preset})


def _shipped_schema(name: str) -> TrainerSchema:
    names = trainer_names()
    if name not in names:
        known = ", ".join(names) or "none is installed"
        raise UsageError(
            f"no trainer {name!r}.{nearest(name, names)} "
            f"Choices: {known}; or a function of your own, such as my_trainer:train."
        )
    try:
        package = importlib.import_module(f"{PACKAGE}.{name}")
        module = importlib.import_module(f"{PACKAGE}.{name}.config")
        declared = importlib.import_module(f"{PACKAGE}.base").parameters(module.Config)
    except Exception as error:  # a trainer is foreign code: whatever it raises is its own mistake
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(f"config.py of trainer {name} does not load: {reason}.") from error
    metrics = getattr(module, "METRICS", {})
    return TrainerSchema(
        name=name,
        parameters={key: _like(TrainerParameter, known) for key, known in declared.items()},
        presets=dict(getattr(module, "PRESETS", {})),
        metrics={key: _like(TrainerMetric, metric) for key, metric in metrics.items()},
        data_kind=str(getattr(module, "DATA_KIND", None) or ""),
        description=(package.__doc__ or "").strip().partition("\n")[0],
    )


def _like(kind: Any, declared: Any) -> Any:
    """Return a record of ours with the fields that the trainer's record has."""
    return kind(**{item.name: getattr(declared, item.name) for item in fields(kind)})


def _own_schema(found: Mapping[str, Any]) -> TrainerSchema:
    """Return the schema of what `trainers.describe` wrote."""
    kept = {item.name: found[item.name] for item in fields(TrainerSchema)}
    kept["metrics"] = {name: TrainerMetric(**item) for name, item in found["metrics"].items()}
    kept["parameters"] = {}
    for item in found["parameters"]:
        kind = getattr(builtins, item["type"])
        values = {**item, "type": kind, "choices": tuple(item["choices"])}
        kept["parameters"][item["name"]] = TrainerParameter(**values)
    return TrainerSchema(**kept)


def metrics_kind(name: str, data_kind: str) -> str | None:
    """Return the name under which `orchestrator.metrics` has the data of a trainer."""
    return data_kind or (None if is_own(name) else name)


def resolve(schema: TrainerSchema, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return every parameter of `schema`: defaults, then the preset, then `values`."""
    config = {key: parameter.default for key, parameter in schema.parameters.items()}
    preset = values.get("preset", config.get("preset"))
    config |= {**schema.presets.get(str(preset), {}), **values}
    for key, value in config.items():
        known = schema.parameters.get(key)
        if known is not None and known.type is float and type(value) is int:
            config[key] = float(value)
    return config


def inspect_trainer(name: str, folder: Path | None, *, timeout_s: float = TIMEOUT_S) -> Any:
    """Return what a trainer of the user's own declares, as `trainers.describe` writes it.

    Raises:
        UsageError: it cannot be imported, breaks the contract, crashes, or takes too long.
    """
    folder = Path(os.path.abspath(folder or Path()))
    cached = _cache_file(name, folder)
    found = _read_cache(cached)
    if found is None:
        found = _describe(name, folder, timeout_s)
        if "error" in found:
            raise UsageError(f"{found['error']}. Looked in {folder} and the environment.")
        with suppress(OSError):  # a folder that cannot be written costs time, nothing else
            cached.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_json(cached, found)
    return found


def _describe(name: str, folder: Path, timeout_s: float) -> Any:
    with tempfile.TemporaryDirectory(prefix="sweep-trainer-") as scratch:
        output, log = Path(scratch, "declared.json"), Path(scratch, "log.txt")
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "trainers.describe", name, str(folder), str(output)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=folder if folder.is_dir() else None,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
                start_new_session=True,
            )
            try:
                code = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                hint = "A module must not train or wait when it is imported"
                return {"error": f"{name}: still loading after {timeout_s:g} s. {hint}"}
            finally:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)  # whatever it has started, too
                process.wait()
        with suppress(OSError, ValueError):
            return json.loads(output.read_text(encoding="utf-8"))
        printed = log.read_text(encoding="utf-8", errors="replace").strip()[-_LONGEST_OUTPUT:]
        last = f": {printed.splitlines()[-1]}" if printed else ""
        ended = f"ended with exit code {code}"
        with suppress(ValueError):
            ended = f"was ended by {signal.Signals(-code).name}"
        return {"error": f"{name}: cannot be loaded, its process {ended}{last}"}


def _cache_file(name: str, folder: Path) -> Path:
    """Return the cache of what `name` declares; its name covers everything but the sources."""
    path = os.environ.get("PYTHONPATH", "")
    parts = [str(_FORMAT), name, str(folder), sys.executable, sys.version, path]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    return caching.cache_folder() / f"trainer-{digest}.json"


def _read_cache(path: Path) -> Any:
    """Return what is cached; None if it is missing, damaged or out of date."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for source, changed_ns, size in found["sources"]:
            status = os.stat(source)
            if (status.st_mtime_ns, status.st_size) != (changed_ns, size):
                return None
        return found if found["sources"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
