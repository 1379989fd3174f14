"""Check a trainer against the contract of `trainers.base`: run, stop, resume, compare.

::

    python -m trainers.conformance my_package.my_trainer:train --set epochs=3 --set width=8

trains it half a dozen times in this process, so choose settings with which one training takes
seconds. Each line of the output is a promise and whether it is kept; the exit code is 1 if one is
broken. Call `conformance` to do the same in your own test.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trainers.common.comparing_runs import (
    check_equal,
    equal_values,
    is_part,
    same_metric,
    shortened,
)
from trainers.loading import Trainer, TrainerError, load_trainer
from trainers.recording import Broken, RecordingRun, no_process_left

_FREE = ("lr", "grad_norm")
"""Reported names that need no ``train_`` or ``val_`` prefix."""


@dataclass
class Report:
    """The result of the checks.

    Attributes:
        trainer: name of the trainer.
        kept: promises that are kept, in the order of the checks.
        broken: maps each broken promise to what happened instead.
        unseen: maps each unchecked promise to the reason.
    """

    trainer: str
    kept: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    unseen: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.trainer}: {'kept' if not self.broken else 'NOT KEPT'}"]
        lines += [f"  yes      {promise}" for promise in self.kept]
        lines += [f"  no       {promise}: {seen}" for promise, seen in self.broken.items()]
        lines += [f"  not seen {promise}: {why}" for promise, why in self.unseen.items()]
        return "\n".join(lines)


class Unseen(Exception):  # noqa: N818
    """A promise cannot be checked with this trainer or these settings; the message says why."""


def conformance(trainer: Trainer, values: Mapping[str, Any], directory: Path) -> Report:
    """Run `trainer` with `values` and check every promise of the contract.

    Args:
        trainer: result of `load_trainer`.
        values: parameters with which one training takes seconds.
        directory: an empty folder for its files.
    """
    report = Report(trainer.name)
    trial = _Trial(trainer, values, directory)
    for promise, check in _PROMISES.items():
        try:
            check(trial)
        except Unseen as why:
            report.unseen[promise] = str(why)
        except Exception as error:  # user code can raise anything
            said = str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}"
            report.broken[promise] = said
            if trial.whole is None:
                return report  # it does not train, so nothing else can be checked
        else:
            report.kept.append(promise)
    return report


class _Trial:
    """One trainer with fixed settings, run several times."""

    def __init__(self, trainer: Trainer, values: Mapping[str, Any], directory: Path) -> None:
        self.trainer = trainer
        self.values = dict(values)
        self.directory = directory
        self.whole: RecordingRun | None = None
        self.count = 0

    def run(self, **options: Any) -> RecordingRun:
        """Return a training run in its own folder."""
        self.count += 1
        folder = self.directory / str(self.count)
        folder.mkdir()
        run = RecordingRun(folder, **options)
        with no_process_left():
            self.trainer.train(self.trainer.make_config(self.values), run)
        return run

    def finished(self) -> RecordingRun:
        """Return the run that was never stopped, after checking that it finished."""
        if self.whole is None:
            raise Unseen("it did not train")
        return self.whole


def _trains(trial: _Trial) -> None:
    run = trial.run()
    if not run.reports:
        raise Broken("run.report was never called")
    if "test" not in run.arrays:
        raise Broken("run.save_predictions was not called for the split test")
    trial.whole = run


def _reports(trial: _Trial) -> None:
    run = trial.finished()
    steps = [step for step, _ in run.reports]
    if steps != sorted(set(steps)) or steps[0] < 1:
        raise Broken(f"steps must rise from 1 (found {shortened(steps)})")
    names = {name for _, metrics in run.reports for name in metrics}
    odd = sorted(
        name for name in names if not name.startswith(("train_", "val_")) and name not in _FREE
    )
    if odd:
        raise Broken(f"names must carry train_ or val_, or be lr or grad_norm (found {odd[0]})")


def _declared_metrics(trial: _Trial) -> None:
    run = trial.finished()
    declared = set(trial.trainer.metrics)
    if not declared:
        raise Unseen("it declares no METRICS")
    names = {name for _, metrics in run.reports for name in metrics}
    if names - declared:
        raise Broken(f"reports {sorted(names - declared)[0]}, which METRICS lacks")
    if declared - names:
        raise Broken(f"METRICS has {sorted(declared - names)[0]}, which is never reported")


def _matching_arrays(trial: _Trial) -> None:
    run = trial.finished()
    if "val" not in run.arrays:
        raise Unseen("it saves no validation arrays")
    found = {f"val_{name}": value for name, value in _metrics(trial.trainer, run).items()}
    shared = sorted({name for _, metrics in run.reports for name in metrics} & set(found))
    if not shared:
        raise Unseen("none of the metrics that it reports can be recomputed here")
    nearest_step, wrong = 0, shared
    for step, metrics in run.reports:
        off = [name for name in shared if not same_metric(metrics.get(name, math.nan), found[name])]
        if len(off) <= len(wrong):
            nearest_step, wrong = step, off
    if wrong:
        name, step = wrong[0], nearest_step
        said = dict(run.reports)[step].get(name, math.nan)
        raise Broken(
            f"the saved arrays must be those of a report (found {name} {found[name]:.6g}; "
            f"{said:.6g} in the nearest report, step {step})"
        )


def _deterministic(trial: _Trial) -> None:
    again = trial.run()
    check_equal(trial.finished(), again, "a second run with the same config")
    # The first run may have filled a cache that the others use, calling should_stop meanwhile.
    trial.whole = again


def _stops(trial: _Trial) -> None:
    whole = trial.finished()
    if not whole.looks:
        raise Broken("it never looks at run.should_stop")
    run = trial.run(stop_at=max(1, whole.looks // 2))
    if run.reports_after_stop > 1:
        raise Broken(f"it made {run.reports_after_stop} reports after it was asked to stop")
    if len(run.reports) >= len(whole.reports) > 1:
        raise Broken("it trained to the end though a stop was requested half way")


def _resumes_when_stopped(trial: _Trial) -> None:
    whole = trial.finished()
    if not whole.looks:
        raise Unseen("it never looks at run.should_stop")
    for stop_at in sorted({1, max(1, whole.looks // 3), max(1, 2 * whole.looks // 3)}):
        stopped = trial.run(stop_at=stop_at)
        if stopped.arrays.keys() >= whole.arrays.keys():
            continue  # stopped too late to have an effect
        saved = stopped.checkpoints[-1] if stopped.checkpoints else None
        resumed = trial.run(saved=saved)
        if saved is not None:
            resumed.reports = [*_until(stopped, resumed), *resumed.reports]
        check_equal(whole, resumed, f"a run that was stopped at look {stop_at} and resumed")


def _resumes_anywhere(trial: _Trial) -> None:
    whole = trial.finished()
    if not whole.checkpoints:
        raise Unseen("it saves no checkpoint while it trains")
    for place in sorted({0, len(whole.checkpoints) // 2, len(whole.checkpoints) - 1}):
        resumed = trial.run(saved=whole.checkpoints[place])
        resumed.reports = [*_until(whole, resumed), *resumed.reports]
        check_equal(whole, resumed, f"a run that continues from checkpoint {place + 1}")


def _splits_stay(trial: _Trial) -> None:
    whole = trial.finished()
    less = trial.run(data_fraction=0.5)
    for split in ("val", "test"):
        if split in whole.arrays and not equal_values(
            whole.arrays[split][1], less.arrays.get(split, (None, None))[1]
        ):
            raise Broken(f"the {split} targets of half the training data differ from those of all")
    if "train" not in whole.arrays:
        return
    some, all_of_it = less.arrays["train"][1], whole.arrays["train"][1]
    if equal_values(some, all_of_it) and len(np.ravel(all_of_it)) > 1:
        return  # a fixed sample, for which half the data is enough
    if not is_part(some, all_of_it):
        raise Broken("the training targets of half the data are not part of those of all data")


def _new_schedule(trial: _Trial) -> None:
    """A checkpoint without the key ``scheduler`` is one that is continued with a new schedule."""
    whole = trial.finished()
    length, _ = _length(whole)
    if not whole.checkpoints or length is None:
        return  # no schedule that has an end
    place = len(whole.checkpoints) // 3
    rest, start = _length(trial.run(saved=whole.checkpoints[place], without=("scheduler",)))
    if rest is None or not start or abs(start + rest - length) > 1:
        raise Broken(
            f"with a new schedule from checkpoint {place + 1} it describes one of {rest} steps "
            f"from step {start} on: it must run over the rest of the {length} steps"
        )


def _length(run: RecordingRun) -> tuple[float | None, float]:
    """Return the steps of the schedule that a run describes, and those before it."""
    schedule = run.facts.get("lr_schedule") or {}
    known = (values for values in schedule.values() if isinstance(values, Mapping))
    totals = (values["total"] for values in known if "total" in values)
    return next(totals, None), schedule.get("start", 0)


_PROMISES: dict[str, Callable[[_Trial], None]] = {
    "trains, reports and saves test predictions, and leaves no process": _trains,
    "steps rise from 1, and reports carry train_ or val_": _reports,
    "reports every metric of METRICS and no other": _declared_metrics,
    "validation arrays give the metrics that were reported with them": _matching_arrays,
    "the same config gives the same reports and arrays": _deterministic,
    "stops when requested": _stops,
    "stopped and resumed, it ends as if it had never stopped": _resumes_when_stopped,
    "from any checkpoint it ends as if it had never stopped": _resumes_anywhere,
    "a new schedule after a resume runs over the remaining steps": _new_schedule,
    "data_fraction removes only training data, and smaller fractions are subsets": _splits_stay,
}


def _until(before: RecordingRun, resumed: RecordingRun) -> list[tuple[int, dict[str, float]]]:
    """Return the reports of `before` that come before those of `resumed`."""
    first = resumed.reports[0][0] if resumed.reports else math.inf
    return [(step, metrics) for step, metrics in before.reports if step < first]


def _metrics(trainer: Trainer, run: RecordingRun) -> dict[str, float]:
    """Return the metrics that can be recomputed from the validation arrays of `run`."""
    predictions, targets = run.arrays["val"]
    found: dict[str, float] = {}
    if not isinstance(targets, list):
        error = predictions.astype(np.float64) - targets
        spread = float(np.var(targets, dtype=np.float64))
        mse = float(np.square(error).mean())
        found = {"mae": float(np.abs(error).mean()), "mse": mse, "rmse": math.sqrt(mse)}
        found |= {"r2": 1.0 - mse / spread} if spread else {}
    if trainer.evaluate is not None:
        known = {name: value for name, value in run.facts.get("data", {}).items() if name != "kind"}
        found |= trainer.evaluate(predictions, targets, **known)
    return found


def _value(trainer: Trainer, name: str, text: str) -> Any:
    """Return the value of ``--set name=text`` for a parameter."""
    if text in ("null", "None"):
        return None
    known = trainer.parameters.get(name)
    if known is None and trainer.config is not None:
        raise TrainerError(f"--set {name}: {trainer.name} has no such parameter")
    kinds: list[Callable[[str], Any]] = [int, float, str] if known is None else [known.type]
    if known is not None and known.type is bool:
        kinds = [lambda word: {"true": True, "false": False}[word.lower()]]
    for kind in kinds:
        try:
            return kind(text)
        except (ValueError, KeyError):
            continue
    raise TrainerError(f"--set {name}: must be {kinds[0].__name__} (found {text!r})")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m trainers.conformance",
        description="Hold a trainer to the contract: run it, stop it, resume it, compare.",
    )
    parser.add_argument("trainer", help="edc, or my_package.my_trainer:train")
    parser.add_argument("--folder", default=".", help="where its module is looked for first")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter's value"
    )
    options = parser.parse_args(arguments)
    try:
        trainer = load_trainer(options.trainer, Path(options.folder).absolute())
        values: dict[str, Any] = {}
        for item in options.set:
            name, equals, text = item.partition("=")
            if not equals:
                raise TrainerError(f"--set: must be NAME=VALUE (found {item!r})")
            values[name] = _value(trainer, name, text)
    except TrainerError as error:
        print(f"Error: {error}.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="sweep-conformance-") as folder:
        report = conformance(trainer, values, Path(folder))
    print(report)
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
