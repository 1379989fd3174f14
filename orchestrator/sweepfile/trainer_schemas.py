"""What a trainer declares, reached by its name: parameters, presets, metrics.

Of one that ships only its ``config.py`` is imported, which loads no torch, so a sweep file is
checked in milliseconds; one of the user's own is looked at from outside
(`sweepfile.own_trainers`). The protocols here describe what the trainer side hands over;
the classes themselves stand in `trainers.base`, which this package does not import at its top.

Looking at a trainer of the user's own without importing it here.

Its module may load torch, take its time or crash the interpreter, so a process of its own imports
it (`trainers.describe`) under a time limit and without a GPU. What it declares is kept with the
stamps of the files that it came from, and asked for again only when one of them has changed.
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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from orchestrator.errors import UsageError, nearest
from orchestrator.files import atomic

PACKAGE = "trainers"


class ParameterLike(Protocol):
    """One parameter of a trainer; `trainers.base.Parameter` has it all."""

    @property
    def name(self) -> str:
        """As it stands in a sweep file."""

    @property
    def type(self) -> type:
        """One of bool, int, float, str."""

    @property
    def default(self) -> Any:
        """The value where nothing is said."""

    @property
    def low(self) -> float | None:
        """Least value, inclusive."""

    @property
    def high(self) -> float | None:
        """Greatest value, inclusive."""

    @property
    def choices(self) -> tuple[Any, ...]:
        """The only values; empty for any."""

    @property
    def nullable(self) -> bool:
        """True where null is a value."""

    @property
    def alters_loss(self) -> bool:
        """True where it changes what the loss means."""

    @property
    def alters_memory(self) -> bool:
        """True where it changes the memory that a trial takes."""

    @property
    def is_path(self) -> bool:
        """True where its values are paths."""


class MetricLike(Protocol):
    """One reported metric of a trainer; `trainers.base.Metric` has it all."""

    @property
    def goal(self) -> Any:
        """``minimize`` or ``maximize``."""

    @property
    def is_loss(self) -> bool:
        """True where its value depends on parameters that alter the loss."""


@dataclass(frozen=True)
class TrainerSchema:
    """What a trainer declares.

    Attributes:
        name: the trainer's name.
        parameters: what a config may set, in the trainer's order.
        presets: preset name to the values that it sets.
        metrics: every metric that the trainer reports during training.
        data_kind: what its arrays are, such as ``decay_curve``.
        description: what it is, in a line.
        takes_anything: True where it declares no parameters and takes whatever is given.
    """

    name: str
    parameters: Mapping[str, ParameterLike]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metrics: Mapping[str, MetricLike] = field(default_factory=dict)
    data_kind: str = ""
    description: str = ""
    takes_anything: bool = False

    @property
    def default_metric(self) -> str | None:
        """The first validation metric that stays comparable when the loss changes."""
        for name, metric in self.metrics.items():
            if name.startswith("val_") and not metric.is_loss:
                return name
        return None


def trainer_names() -> list[str]:
    """Return the names of the installed trainers: the packages that have a ``config.py``."""
    folders = [Path(folder) for folder in importlib.import_module(PACKAGE).__path__]
    return sorted(path.parent.name for folder in folders for path in folder.glob("*/config.py"))


def is_own(name: str) -> bool:
    """Tell whether `name` means a module of the user's own, as ``my_package.my_trainer:train``."""
    return "." in name or ":" in name


def trainer_schema(name: str, folder: Path | None = None) -> TrainerSchema:
    """Return what the trainer called `name` declares.

    Args:
        name: one that ships (``edc``), or of the user's own (``my_package.my_trainer:train``).
        folder: where a module of the user's own is looked for before the environment, which is
            the folder of the sweep file; None for the working folder.

    Raises:
        UsageError: there is no such trainer, or what declares it cannot be loaded.
    """
    if is_own(name):
        return _own_schema(inspect_trainer(name, folder))
    names = trainer_names()
    if name not in names:
        known = ", ".join(names) or "none is installed"
        raise UsageError(
            f"must be the name of a trainer, but got {name!r}.{nearest(name, names)} "
            f"Choices: {known}; or a function of your own, such as my_trainer:train."
        )
    try:
        package = importlib.import_module(f"{PACKAGE}.{name}")
        module = importlib.import_module(f"{PACKAGE}.{name}.config")
        base = importlib.import_module(f"{PACKAGE}.base")
        declared: dict[str, ParameterLike] = base.parameters(module.Config)
    except Exception as error:  # a trainer is foreign code: whatever it raises is its own mistake
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(
            f"must be a trainer whose config.py loads, but {name}'s fails: {reason}."
        ) from error
    presets = dict(getattr(module, "PRESETS", {}))
    _name_presets(declared, presets)
    return TrainerSchema(
        name=name,
        parameters=declared,
        presets=presets,
        metrics=dict(getattr(module, "METRICS", {})),
        data_kind=str(getattr(module, "DATA_KIND", None) or ""),
        description=(package.__doc__ or "").strip().partition("\n")[0],
    )


def _own_schema(found: Mapping[str, Any]) -> TrainerSchema:
    """Return the schema of what `trainers.describe` wrote."""
    base = importlib.import_module(f"{PACKAGE}.base")
    declared: dict[str, ParameterLike] = {}
    for item in found["parameters"]:
        kind = getattr(builtins, item["type"])
        values = {**item, "type": kind, "choices": tuple(item["choices"])}
        declared[item["name"]] = base.Parameter(**values)
    _name_presets(declared, found["presets"])
    return TrainerSchema(
        name=found["name"],
        parameters=declared,
        presets=found["presets"],
        metrics={name: base.Metric(**item) for name, item in found["metrics"].items()},
        data_kind=found["data_kind"],
        description=found["description"],
        takes_anything=found["takes_anything"],
    )


def _name_presets(declared: dict[str, ParameterLike], presets: Mapping[str, Any]) -> None:
    """Let the parameter ``preset`` take the names of the presets, where it names no choices."""
    preset: Any = declared.get("preset")
    if preset is not None and presets and not preset.choices:
        declared["preset"] = replace(preset, choices=tuple(presets))


def metrics_kind(name: str, data_kind: str) -> str | None:
    """Return the name under which `orchestrator.metrics` knows the data of a trainer.

    Args:
        name: the trainer.
        data_kind: what its arrays are; a trainer of the user's own gets the metrics of the trainer
            that ships whose arrays are of that kind.
    """
    return data_kind or (None if is_own(name) else name)


def resolve(schema: TrainerSchema, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return every parameter of `schema`: defaults, then the preset, then `values`."""
    config = {key: parameter.default for key, parameter in schema.parameters.items()}
    preset = values.get("preset", config.get("preset"))
    config.update(schema.presets.get(str(preset), {}))
    config.update(values)
    for key, value in config.items():
        known = schema.parameters.get(key)
        if known is not None and known.type is float and type(value) is int:
            config[key] = float(value)
    return config


TIMEOUT_S = 60.0
"""How long a module may take to import; torch takes a second or two, a cold disk some more."""

_LONGEST_OUTPUT = 2_000
_FORMAT = 1


def inspect_trainer(name: str, folder: Path | None, *, timeout_s: float = TIMEOUT_S) -> Any:
    """Return what a trainer of the user's own declares, as `trainers.describe` writes it.

    Args:
        name: ``my_package.my_trainer:train``.
        folder: where its module is looked for before the environment; None for the working folder.
        timeout_s: how long it may take to import.

    Raises:
        UsageError: it cannot be imported, does not keep the contract, crashes, or takes too long.
    """
    folder = Path(os.path.abspath(folder or Path()))
    kept = _cache_file(name, folder)
    found = _read(kept)
    if found is None:
        found = _ask(name, folder, timeout_s)
        if "error" not in found:
            with suppress(OSError):  # a folder that cannot be written costs time, nothing else
                kept.parent.mkdir(parents=True, exist_ok=True)
                atomic.write_json(kept, found)
    if "error" in found:
        raise UsageError(f"{found['error']}. Looked in {folder} and the environment.")
    return found


def _ask(name: str, folder: Path, timeout_s: float) -> Any:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    with tempfile.TemporaryDirectory(prefix="sweep-trainer-") as scratch:
        output, log = Path(scratch, "declared.json"), Path(scratch, "log.txt")
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "trainers.describe", name, str(folder), str(output)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=folder if folder.is_dir() else None,
                env=environment,
                start_new_session=True,
            )
            try:
                code = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                return {
                    "error": f"{name}: must load within {timeout_s:g} s, but is still at it. "
                    "A module that is imported must not train or wait"
                }
            finally:
                _end(process)
        with suppress(OSError, ValueError):
            return json.loads(output.read_text(encoding="utf-8"))
        said = log.read_text(encoding="utf-8", errors="replace").strip()[-_LONGEST_OUTPUT:]
        last = f": {said.splitlines()[-1]}" if said else ""
        return {"error": f"{name}: must load, but its process {_ended(code)}{last}"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever it has started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ended(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _cache_file(name: str, folder: Path) -> Path:
    """Return where what `name` declares is kept; everything but its files is in the file's name."""
    path = os.environ.get("PYTHONPATH", "")
    parts = [str(_FORMAT), name, str(folder), sys.executable, sys.version, path]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    named = os.environ.get("SWEEP_CACHE")
    root = Path(named).expanduser() if named else Path.home() / ".cache" / "sweep"
    return root / f"trainer-{digest}.json"


def _read(path: Path) -> Any:
    """Return what is kept, or None where it is missing, damaged or out of date."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for source, changed_ns, size in found["sources"]:
            status = os.stat(source)
            if (status.st_mtime_ns, status.st_size) != (changed_ns, size):
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.get("sources") else None
