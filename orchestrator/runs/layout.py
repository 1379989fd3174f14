"""Where everything stands: every path of a sweep folder and of a run directory.

::

    results/<sweep>/
      spec.json          the resolved spec                      driver
      plan.json          the placement plan                     driver
      state.json         the sweep's state                      driver
      events.jsonl       what happened, one event a line        driver
      study.journal      Optuna's journal                       driver
      driver.log         output of a detached driver            driver
      requests/          what `sweep stop` asks of the driver   command line
      trials/<number>-<name>/
        state.json       the trial's record                     driver
        stop.json        why the trial is to end now            driver
        metadata.json    config, effective values, versions     child
        metrics.jsonl    one report a line                      child
        log.txt          output of the training code            child
        predictions.npy, targets.npy                            child   (test, physical units)
        val_predictions.npy, val_targets.npy                    child   (also train_)
        [val_]{predictions,targets}_lengths.npy                 child   (sequences only)
        checkpoint.pt    the state that was saved last          child
        script.json      of a script, for its next attempt      child
        checkpoint_best.pt  that of its best report             child   (where a remedy needs it)
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import NotFoundError, nearest

SPLITS = ("test", "val", "train")
"""What arrays may be of; a file of any but test carries the split before its name."""

_UNSAFE = re.compile(r"[^\w.=+-]+")
_TRIAL = re.compile(r"(\d{4,})-(.+)")


@dataclass(frozen=True)
class RunDir:
    """The folder of one trial.

    Attributes:
        path: the folder; it may not exist yet.
    """

    path: Path

    @property
    def state_file(self) -> Path:
        """The trial's record, written by the driver alone."""
        return self.path / "state.json"

    @property
    def stop_file(self) -> Path:
        """Present once the driver wants the running attempt to end; says why."""
        return self.path / "stop.json"

    @property
    def metadata_file(self) -> Path:
        """Config, effective values, versions, duration; written by the child alone."""
        return self.path / "metadata.json"

    @property
    def metrics_file(self) -> Path:
        """Reports, one a line, appended by the child alone."""
        return self.path / "metrics.jsonl"

    @property
    def log_file(self) -> Path:
        """Standard output and error of the training code."""
        return self.path / "log.txt"

    @property
    def checkpoint_file(self) -> Path:
        """The state that `run.checkpoint` saved last."""
        return self.path / "checkpoint.pt"

    @property
    def best_checkpoint_file(self) -> Path:
        """The state that was saved after the best report; there only where a remedy may need it."""
        return self.path / "checkpoint_best.pt"

    @property
    def script_file(self) -> Path:
        """What an attempt of a script leaves for the next one, written by the child alone."""
        return self.path / "script.json"

    @property
    def lock_file(self) -> Path:
        """Held by the child while it lives."""
        return self.path / ".lock"

    def predictions_file(self, split: str = "test") -> Path:
        """Predictions of the split ``"test"`` or ``"val"``, in physical units."""
        return self.path / f"{_prefix(split)}predictions.npy"

    def targets_file(self, split: str = "test") -> Path:
        """Targets of the split ``"test"`` or ``"val"``, in physical units."""
        return self.path / f"{_prefix(split)}targets.npy"

    def predictions_lengths_file(self, split: str = "test") -> Path:
        """Lengths of the predicted sequences; there only where samples differ in length."""
        return self.path / f"{_prefix(split)}predictions_lengths.npy"

    def targets_lengths_file(self, split: str = "test") -> Path:
        """Lengths of the target sequences; there only where samples differ in length."""
        return self.path / f"{_prefix(split)}targets_lengths.npy"

    @property
    def written_by_child(self) -> list[str]:
        """Names of the files that the child replaces while the trial runs."""
        files = (
            self.predictions_file,
            self.predictions_lengths_file,
            self.targets_file,
            self.targets_lengths_file,
        )
        arrays = [file(split).name for split in SPLITS for file in files]
        checkpoints = [self.checkpoint_file.name, self.best_checkpoint_file.name]
        return [self.metadata_file.name, self.script_file.name, *checkpoints, *arrays]

    @property
    def number(self) -> int | None:
        """The trial's number, read from the folder's name."""
        match = _TRIAL.fullmatch(self.path.name)
        return int(match[1]) if match else None


@dataclass(frozen=True)
class SweepDir:
    """The folder of one sweep.

    Attributes:
        path: the folder; it may not exist yet.
    """

    path: Path

    @property
    def name(self) -> str:
        """The sweep's name, which is the folder's."""
        return self.path.name

    @property
    def spec_file(self) -> Path:
        """The resolved spec."""
        return self.path / "spec.json"

    @property
    def plan_file(self) -> Path:
        """The placement plan that the last start decided."""
        return self.path / "plan.json"

    @property
    def state_file(self) -> Path:
        """The sweep's state."""
        return self.path / "state.json"

    @property
    def events_file(self) -> Path:
        """What happened, one event a line."""
        return self.path / "events.jsonl"

    @property
    def study_file(self) -> Path:
        """Optuna's journal."""
        return self.path / "study.journal"

    @property
    def driver_log(self) -> Path:
        """Output of a detached driver."""
        return self.path / "driver.log"

    @property
    def lock_file(self) -> Path:
        """Held by the driver while it lives."""
        return self.path / ".lock"

    @property
    def requests_dir(self) -> Path:
        """Requests that the command line leaves for the driver."""
        return self.path / "requests"

    @property
    def trials_dir(self) -> Path:
        """The run directories."""
        return self.path / "trials"

    def run_dir(self, number: int, name: str) -> RunDir:
        """Return the run directory of trial `number` called `name`."""
        return RunDir(self.trials_dir / f"{number:04d}-{safe_name(name)}")

    def run_dirs(self) -> list[RunDir]:
        """Return the run directories that exist, by trial number."""
        if not self.trials_dir.is_dir():
            return []
        found = [RunDir(path) for path in self.trials_dir.iterdir() if path.is_dir()]
        numbered = [run for run in found if run.number is not None]
        return sorted(numbered, key=lambda run: run.number or 0)


def safe_name(name: str, longest: int = 60) -> str:
    """Return `name` as one safe part of a path: no separators, no leading dot, never empty.

    Letters of any script stay. `longest` counts characters; 60 of them are at most 240 bytes, and
    file systems take 255.
    """
    return _UNSAFE.sub("_", name).strip("._")[:longest] or "trial"


def is_called(text: str, number: int, name: str) -> bool:
    """Tell whether a person who says `text` means trial `number` called `name`.

    Its number, its name and its folder's name all do.
    """
    if text.isdecimal() and int(text) == number:
        return True
    return text in (name, f"{number:04d}-{name}", f"{number:04d}-{safe_name(name)}")


def sweep_dirs(results: Path) -> list[SweepDir]:
    """Return the sweeps under `results` that can be read, the one written last first."""
    if not results.is_dir():
        return []
    found = []
    for path in results.iterdir():
        sweep = SweepDir(path)
        # A folder may vanish meanwhile, or belong to somebody else.
        with suppress(OSError):
            found.append((sweep.state_file.stat().st_mtime, sweep))
    return [sweep for _, sweep in sorted(found, key=lambda pair: pair[0], reverse=True)]


def find_sweep(results: Path, name: str | None = None) -> SweepDir:
    """Return the sweep called `name` (or whose folder `name` is), by default the newest.

    Raises:
        NotFoundError: there is none; the message lists those that there are.
    """
    if name and (Path(name) / "state.json").is_file():
        return SweepDir(Path(name))
    sweeps = sweep_dirs(results)
    if not sweeps:
        raise NotFoundError(
            f"{results}: must hold a sweep, but has none. "
            "Start one with `sweep run FILE`, or name the folder with --results."
        )
    if name is None:
        return sweeps[0]
    for sweep in sweeps:
        if sweep.name in (name, safe_name(name)):
            return sweep
    names = [sweep.name for sweep in sweeps]
    raise NotFoundError(
        f"{results}: must hold the sweep '{name}', but has {', '.join(names[:8])}."
        f"{nearest(name, names)}"
    )


def _prefix(split: str) -> str:
    return "" if split == "test" else f"{split}_"
