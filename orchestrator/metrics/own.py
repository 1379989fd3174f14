"""Metrics of the user's own: functions of two arrays, as ``--metrics my_module:my_metric``.

The function gets predictions and targets [N, ...] (or two lists of sequences) and returns a number.
Its attributes ``goal`` (``"minimize"`` or ``"maximize"``) and ``unit`` are optional; without a goal
its name shows which way is better. Only the command line names such functions: a run folder is
data, so nothing in it may choose code that is executed.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError, nearest
from orchestrator.files.direction import named_goal
from orchestrator.metrics.metric import Metric

OWN = "own_metrics"
"""Key of what is known of arrays: each function to a digest of its source, for caches."""

_NAME = re.compile(r"(?!\d)\w+(\.(?!\d)\w+)*:(?!\d)\w+")
_loaded: dict[str, Metric] = {}


def own_named(name: str) -> Metric | None:
    """Return the loaded metric with a bare name; None if its goal is unknown."""
    return _loaded.get(name)


@cache
def own_metric(text: str, where: str = "--metrics") -> Metric:
    """Return the metric that ``module:function`` names, looked up from the current folder.

    Raises:
        UsageError: there is no such function; the message begins with `where`.
    """
    if not _NAME.fullmatch(text):
        raise UsageError(f"{where}: {text!r} does not name a function. Write my_module:my_metric.")
    path, _, name = text.partition(":")
    path = path.removesuffix(".py")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
        importlib.invalidate_caches()
    try:
        module = importlib.import_module(path)
    except Exception as error:  # whatever the user's module raises
        why = f"{type(error).__name__}: {error}"
        raise UsageError(f"{where}: {path} cannot be imported ({why}).") from error
    function = getattr(module, name, None)
    if not callable(function):
        names = [key for key, value in vars(module).items() if inspect.isfunction(value)]
        found = "is not a function" if hasattr(module, name) else "does not exist"
        raise UsageError(f"{where}: {name} {found} in {path}.{nearest(name, names)}")
    goal = getattr(function, "goal", None) or named_goal(name)
    if goal not in (None, "minimize", "maximize"):
        raise UsageError(f"{where}: {text}.goal is {goal!r}. Set it to minimize or maximize.")
    unit = str(getattr(function, "unit", ""))

    @functools.wraps(function)
    def value(predictions: Any, targets: Any) -> float:
        # What the function changes must not reach other metrics.
        return float(function(_read_only(predictions), _read_only(targets)))

    of: dict[str, Any] = {"goal": goal or "minimize", "function": value, "unit": unit}
    metric = Metric(name, definition=text, source=text, resampled="parts", **of)
    if goal is not None:  # else the table asks for --goal
        _loaded[name] = metric
    return metric


def source_of(metric: Metric) -> str:
    """Return a digest of what a function is made of, so that a cache notices a new version.

    That is its file, and the modules in or below the same folder that are loaded with it; "" if
    unknown.
    """
    try:
        function: Any = inspect.unwrap(metric.function)  # type: ignore[arg-type]
        file = Path(inspect.getsourcefile(function) or "").resolve()
        digest = hashlib.sha256(file.read_bytes())
        beside = (getattr(module, "__file__", None) for module in [*sys.modules.values()])
        for path in sorted({path for path in beside if path and path.endswith(".py")}):
            # An environment may be below the user's folder; its packages are not the user's code.
            if Path(path).is_relative_to(file.parent) and "site-packages" not in path:
                digest.update(Path(path).read_bytes())
    except (OSError, TypeError):
        return ""
    return digest.hexdigest()[:16]


def _read_only(samples: Any) -> Any:
    if isinstance(samples, list):
        return [_read_only(each) for each in samples]
    view = samples.view()
    view.flags.writeable = False
    return view


def own_metrics(data: Mapping[str, Any]) -> list[Metric]:
    """Return the functions that `data` names."""
    return [own_metric(text) for text in data.get(OWN, ())]


def own_values(
    predictions: Any, targets: Any, data: Mapping[str, Any]
) -> tuple[dict[str, float], list[str]]:
    """Return what the functions that `data` names return for two arrays, and what failed."""
    found, problems = {}, []
    for metric in own_metrics(data):
        function: Any = metric.function
        try:
            found[metric.name] = function(predictions, targets)
        except Exception as error:  # whatever the user's function raises
            why = f"{type(error).__name__}: {error}".partition("\n")[0]
            problems.append(f"{metric.definition} failed ({why})")
    return found, problems
