"""Find a trainer by its name in a sweep file: a built-in one or a user's.

::

    edc                            a built-in one: trainers/edc/ with config.py and train.py
    my_package.my_trainer:train    a function in a user's module
    my_package.my_trainer          a package (config.py, train.py), or `train` in a module

A user's module is imported from the sweep file's folder or the environment. In addition to the
function it may define `Config`, `PRESETS`, `METRICS`, `DATA_KIND`, `GOALS` and `evaluate`, which
built-in trainers define in their three modules. Without `Config` the function receives a dict of
the sweep's values.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from trainers.base import Metric, Parameter, Run, build, parameters

Train = Callable[[Any, Run], object]

_NAME = re.compile(r"(?!\d)\w+(\.(?!\d)\w+)*(:(?!\d)\w+)?")
_VALUES = (bool, int, float, str)


class TrainerError(Exception):
    """A trainer cannot be loaded or violates the contract."""


@dataclass(frozen=True)
class Trainer:
    """A training system, ready to be called.

    Attributes:
        name: name in the sweep file.
        train: the function ``train(config, run)``.
        config: its `Config` class; None if it accepts any values.
        presets: maps each preset name to the values it sets.
        metrics: every metric that it reports; empty if not declared.
        data_kind: kind of its arrays; "" if not declared.
        goals: goals of the metrics that `evaluate` recomputes from its arrays.
        evaluate: function that recomputes metrics; None if there is none.
        description: one-line description.
    """

    name: str
    train: Train
    config: type | None = None
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    data_kind: str = ""
    goals: Mapping[str, str] = field(default_factory=dict)
    evaluate: Callable[..., dict[str, float]] | None = None
    description: str = ""

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters of the config, in the trainer's order."""
        return {} if self.config is None else parameters(self.config)

    def make_config(self, values: Mapping[str, Any]) -> Any:
        """Return the config to pass to `train` for `values`."""
        return dict(values) if self.config is None else build(self.config, self.presets, values)

    def full_config(self, config: Any) -> dict[str, Any]:
        """Return every value of a config from `make_config`."""
        if self.config is None:
            return dict(config)
        return {name: getattr(config, name) for name in self.parameters}


def load_trainer(name: str, folder: str | Path | None = None) -> Trainer:
    """Return the trainer called `name`.

    Args:
        name: see the module docstring.
        folder: searched first for a user's module; it is inserted at the front of this process's
            `sys.path`.

    Raises:
        TrainerError: it does not exist, does not load, or violates the contract.
    """
    if not _NAME.fullmatch(name):
        raise TrainerError(
            "must be the name of a trainer, or of a function such as "
            f"my_package.my_trainer:train (found {name!r})"
        )
    path, _, function = name.partition(":")
    ours = not function and "." not in path
    if ours:
        path = f"trainers.{path}"
    elif folder is not None and str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
    modules = _modules(name, path, function)
    trainer = Trainer(
        name=name,
        train=_callable(name, modules[0], function or "train"),
        config=_find(modules, "Config"),
        presets=dict(_find(modules, "PRESETS") or {}),
        metrics=dict(_find(modules, "METRICS") or {}),
        data_kind=str(_find(modules, "DATA_KIND") or ""),
        goals=dict(_find(modules, "GOALS") or {}),
        evaluate=_find(modules, "evaluate"),
        description=first_line(_parent(modules[0]) if ours else modules[0]),
    )
    check(trainer)
    return trainer


def check(trainer: Trainer) -> None:
    """Check the declarations of a trainer.

    Raises:
        TrainerError: the first violation of the contract.
    """
    where = trainer.name
    if trainer.config is not None:
        if not is_dataclass(trainer.config) or not isinstance(trainer.config, type):
            raise TrainerError(f"{where}: Config must be a dataclass (found {trainer.config!r})")
        _check_fields(where, trainer.config)
    declared = trainer.parameters
    for known in declared.values():
        _check_declared(where, known)
    for preset, values in trainer.presets.items():
        if not isinstance(values, Mapping):
            raise TrainerError(f"{where}: PRESETS['{preset}'] must be a map (found {values!r})")
        unknown = [key for key in values if key not in declared]
        if trainer.config is not None and unknown:
            raise TrainerError(
                f"{where}: PRESETS['{preset}'] must set fields of Config (found {unknown[0]!r})"
            )
        for name in values:
            if name in declared:
                _check_value(
                    f"{where}: PRESETS['{preset}']['{name}']", declared[name], values[name]
                )
    for metric, described in trainer.metrics.items():
        if not isinstance(described, Metric):
            raise TrainerError(
                f"{where}: METRICS['{metric}'] must be a trainers.base.Metric (found {described!r})"
            )
        if described.goal not in ("minimize", "maximize"):
            raise TrainerError(
                f"{where}: METRICS['{metric}'].goal must be minimize or maximize (found "
                f"{described.goal!r})"
            )


def _check_fields(where: str, config: type) -> None:
    try:
        hints = get_type_hints(config)
    except Exception as error:  # an annotation with an unknown name or without a type
        raise TrainerError(f"{where}: the types of Config cannot be resolved: {error}") from error
    for item in fields(config):
        if item.default is MISSING:
            raise TrainerError(f"{where}: Config.{item.name} needs a plain default value")
        options = getattr(hints[item.name], "__args__", (hints[item.name],))
        kinds = [option for option in options if option is not type(None)]
        if len(kinds) != 1 or kinds[0] not in _VALUES:
            raise TrainerError(
                f"{where}: Config.{item.name} must be bool, int, float or str, optionally with"
                f" None (found {hints[item.name]})"
            )


def _check_declared(where: str, known: Parameter) -> None:
    """Check the arguments of `parameter` for consistency; sweep files are validated with them."""
    at = f"{where}: Config.{known.name}"
    for name, bound in (("low", known.low), ("high", known.high)):
        if bound is not None and not _is(bound, float):
            raise TrainerError(f"{at}: {name} must be a number (found {bound!r})")
        if bound is not None and known.type not in (int, float):
            raise TrainerError(
                f"{at}: {name} needs a parameter that is a number (found {_named(known)})"
            )
    if not isinstance(known.choices, tuple | list) or not all(
        _is(choice, known.type) for choice in known.choices
    ):
        raise TrainerError(f"{at}: choices must be {_named(known)} (found {known.choices!r})")
    _check_value(f"{at}: the default", known, known.default)


def _check_value(at: str, known: Parameter, value: Any) -> None:
    if value is None and known.nullable:
        return
    if not _is(value, known.type):
        raise TrainerError(f"{at} must be {_named(known)} (found {value!r})")
    if known.choices and value not in known.choices:
        raise TrainerError(f"{at} must be one of {list(known.choices)} (found {value!r})")
    if known.low is not None and value < known.low:
        raise TrainerError(f"{at} must be at least {known.low:g} (found {value!r})")
    if known.high is not None and value > known.high:
        raise TrainerError(f"{at} must be at most {known.high:g} (found {value!r})")


def _is(value: Any, kind: type) -> bool:
    # An int is also accepted as float, but True is neither.
    return type(value) is kind or (kind is float and type(value) is int)


def _named(known: Parameter) -> str:
    return f"{known.type.__name__}{' or None' if known.nullable else ''}"


def _modules(name: str, path: str, function: str) -> list[ModuleType]:
    """Return the module with the train function, then the modules that may declare more."""
    train_path = path
    if not function and _exists(f"{path}.train", name):
        train_path = f"{path}.train"
    found = [_imported(train_path, name)]
    # The modules next to train.py, or inside a package that is named itself.
    package = path if hasattr(found[0], "__path__") else train_path.rpartition(".")[0]
    for more in ("config", "metrics"):
        if package and _exists(f"{package}.{more}", name):
            found.append(_imported(f"{package}.{more}", name))
    return found


def _exists(path: str, name: str) -> bool:
    try:
        return importlib.util.find_spec(path) is not None
    except ModuleNotFoundError:
        return False  # the parent is not a package or does not exist
    except Exception as error:  # importing the parent packages can fail
        raise TrainerError(_raised(name, path, error)) from error


def _imported(path: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if path == missing or path.startswith(f"{missing}."):
            raise TrainerError(
                f"{name}: no module {missing} in the sweep file's folder or the environment"
            ) from error
        raise TrainerError(_raised(name, path, error)) from error
    except (Exception, SystemExit) as error:  # user code can raise anything
        raise TrainerError(_raised(name, path, error)) from error


def _raised(name: str, path: str, error: BaseException) -> str:
    """Return a message with the exception of an import and its place in user code."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__
        and not frame.filename.startswith("<frozen")
        and "importlib" not in frame.filename
    ]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{name}: {path} cannot be imported: {said}{place}"


def _callable(name: str, module: ModuleType, function: str) -> Train:
    found = getattr(module, function, None)
    if not callable(found):
        what = "no" if found is None else "no function"
        raise TrainerError(
            f"{name}: {module.__name__} has {what} {function}; expected {function}(config, run)"
        )
    train: Train = found
    return train


def _find(modules: list[ModuleType], name: str) -> Any:
    return next((getattr(module, name) for module in modules if hasattr(module, name)), None)


def _parent(module: ModuleType) -> ModuleType:
    with suppress(KeyError):
        return sys.modules[module.__name__.rpartition(".")[0]]
    return module


def first_line(module: ModuleType) -> str:
    """Return the first line of a module's docstring."""
    lines = (module.__doc__ or "").strip().splitlines()
    return lines[0] if lines else ""
