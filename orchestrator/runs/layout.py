"""Where everything is: every path of a sweep folder and of a run directory.

Each file has one writer: the driver, or in a run directory the child, unless noted.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import NotFoundError, nearest
from orchestrator.files import atomic, lock
from orchestrator.files.series_names import SPLITS

_UNSAFE = re.compile(r"[^\w.=+-]+")
_TRIAL = re.compile(r"(\d{4,})-(.+)")


class _Inside:
    """The path of a fixed name inside the folder of a `RunDir` or `SweepDir`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, owner: Any, kind: type) -> Path:
        return owner.path / self.name  # type: ignore[no-any-return]


@dataclass(frozen=True)
class RunDir:
    """The folder of one trial; it may not exist yet.

    Arrays are in physical units. Lengths exist only for sequences that differ in length.
    """

    path: Path

    state_file = _Inside("state.json")  # the trial's record; written by the driver
    metadata_file = _Inside("metadata.json")  # config, effective values, versions
    metrics_file = _Inside("metrics.jsonl")  # one report a line
    log_file = _Inside("log.txt")  # output of the training code
    checkpoint_file = _Inside("checkpoint.pt")  # the state that was saved last
    best_checkpoint_file = _Inside("checkpoint_best.pt")  # of the best report
    script_file = _Inside("script.json")  # of a script, for its next attempt
    lock_file = _Inside(".lock")  # held by the child while it lives

    def predictions_file(self, split: str = "test") -> Path:
        """Return the path of the predictions."""
        return self.path / array_name("predictions", split)

    def targets_file(self, split: str = "test") -> Path:
        """Return the path of the targets."""
        return self.path / array_name("targets", split)

    def groups_file(self, split: str = "test") -> Path:
        """Return the path of the numbers of the groups that the samples belong to."""
        return self.path / array_name("groups", split)

    def predictions_lengths_file(self, split: str = "test") -> Path:
        """Return the path of the lengths of the predicted sequences."""
        return self.path / array_name("predictions_lengths", split)

    def targets_lengths_file(self, split: str = "test") -> Path:
        """Return the path of the lengths of the target sequences."""
        return self.path / array_name("targets_lengths", split)

    @property
    def written_by_child(self) -> list[str]:
        """Names of the files that the child replaces while the trial runs."""
        roles = ("predictions", "predictions_lengths", "targets", "targets_lengths")
        arrays = [array_name(role, split) for split in SPLITS for role in roles]
        script = ("script.json", "config.json", "wandb-config.yaml", "notebook-parameters.yaml")
        return ["metadata.json", "checkpoint.pt", "checkpoint_best.pt", *script, *arrays]

    @property
    def written_by_driver(self) -> list[str]:
        """Names of the files that the driver replaces."""
        return [self.state_file.name]

    @staticmethod
    def is_called(text: str, number: int, name: str) -> bool:
        """Return whether `text` is the number, the name or the folder's name of a trial."""
        if text.isdecimal() and int(text) == number:
            return True
        return text in (name, f"{number:04d}-{name}", f"{number:04d}-{safe_name(name)}")

    @property
    def number(self) -> int | None:
        """The trial's number, read from the folder's name."""
        match = _TRIAL.fullmatch(self.path.name)
        return int(match[1]) if match else None


def array_name(role: str, split: str) -> str:
    """Return the name of the file of an array, such as ``val_targets.npy``."""
    return f"{role}.npy" if split == "test" else f"{split}_{role}.npy"


@dataclass(frozen=True)
class SweepDir:
    """The folder of one sweep; it may not exist yet."""

    path: Path

    spec_file = _Inside("spec.json")  # the resolved spec
    plan_file = _Inside("plan.json")  # the plan that the last start decided
    state_file = _Inside("state.json")  # the sweep's record
    events_file = _Inside("events.jsonl")  # what happened, one event a line
    study_file = _Inside("study.journal")  # Optuna's journal
    driver_log = _Inside("driver.log")  # output of a detached driver
    lock_file = _Inside(".lock")  # held by the driver while it lives
    requests_dir = _Inside("requests")  # to stop, for the driver; written by `request_stop`
    trials_dir = _Inside("trials")  # <number>-<name>/ for each trial
    drivers_dir = _Inside("drivers")  # of `--join`: <driver>.lock for each, and what they share

    @property
    def written_by_driver(self) -> list[str]:
        """Names of the files that the driver replaces."""
        return [self.spec_file.name, self.plan_file.name, self.state_file.name]

    @property
    def name(self) -> str:
        """The sweep's name, which is the folder's."""
        return self.path.name

    @classmethod
    def called(cls, results: Path, name: str) -> SweepDir:
        """Return the folder under `results` of a sweep called `name`."""
        return cls(results / safe_name(name))

    @classmethod
    def all_in(cls, results: Path) -> list[SweepDir]:
        """Return the sweeps under `results` that can be read, the one written last first."""
        if not results.is_dir():
            return []
        found = []
        for path in results.iterdir():
            sweep = cls(path)
            # A folder may vanish meanwhile, or belong to another user.
            with suppress(OSError):
                found.append((sweep.state_file.stat().st_mtime, sweep))
        return [sweep for _, sweep in sorted(found, key=lambda pair: pair[0], reverse=True)]

    def driver_lives(self) -> bool:
        """Return whether a driver runs this sweep now."""
        shared = self.drivers_dir.glob("*.lock")
        return lock.is_held(self.lock_file) or any(lock.is_held(path) for path in shared)

    def request_stop(self, trial: int | None) -> None:
        """Ask the driver to end a trial, or the whole sweep if `trial` is None."""
        self.requests_dir.mkdir(exist_ok=True)
        import uuid

        atomic.write_json(self.requests_dir / f"{uuid.uuid4().hex}.json", {"stop": trial})

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


def safe_name(name: str) -> str:
    """Return `name` as one safe part of a path: no separators, no leading dot, never empty."""
    # Letters of any script stay. 60 characters are at most 240 bytes; file systems take 255.
    return _UNSAFE.sub("_", name).strip("._")[:60] or "trial"


def find_sweep(results: Path, name: str | None = None) -> SweepDir:
    """Return the sweep called `name` (or whose folder `name` is), by default the newest.

    Raises:
        NotFoundError: there is none; the message lists those that exist.
    """
    if name and (Path(name) / "state.json").is_file():
        return SweepDir(Path(name))
    sweeps = SweepDir.all_in(results)
    for sweep in sweeps:
        if name is None or sweep.name in (name, safe_name(name)):
            return sweep
    if name and Path(name).exists() and Path(name).resolve() != results.resolve():
        inside = SweepDir.all_in(Path(name)) if Path(name).is_dir() else []
        if inside:
            raise NotFoundError(
                f"{name}: holds sweeps, is none itself (found: "
                f"{', '.join(sweep.name for sweep in inside[:8])}). "
                f"Name one, with --results {name}."
            )
        raise NotFoundError(
            f"{name}: was not written by `sweep run`. `sweep compare {name}` ranks runs of "
            f"other tools, `sweep doctor {name}` judges their curves."
        )
    if name is None or not sweeps:
        raise NotFoundError(
            f"No sweep in {results}/. Start one with `sweep run FILE`, or name the folder with "
            "--results."
        )
    names = [sweep.name for sweep in sweeps]
    raise NotFoundError(
        f"No sweep '{name}' in {results}/ (found: {', '.join(names[:8])}).{nearest(name, names)}"
    )
