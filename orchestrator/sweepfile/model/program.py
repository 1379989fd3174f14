"""A user's own program as a sweep file describes it; it travels as JSON to the trial's process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

ARRAYS = tuple(
    f"{split}{role}" for split in ("", "val_", "train_") for role in ("predictions", "targets")
)
"""The arrays that ``metrics`` may name; those without a split are of test data."""

MAY_CHANGE = {"may_change": True}


def changeable(default: Any) -> Any:
    """Return a field that may differ when a sweep is continued, since no config depends on it."""
    if isinstance(default, type):
        return field(default_factory=default, metadata=MAY_CHANGE)
    return field(default=default, metadata=MAY_CHANGE)


@dataclass(frozen=True)
class MetricSources:
    """Where metrics come from.

    Attributes:
        files: paths and globs of logs, with macros; relative to the folder that ``outputs``
            adopts, if any, else to that in which the program runs.
        step: the column of logs that is the step; None finds it.
        names: our name of a metric to its name in the logs.
        arrays: one of `ARRAYS` to a path or glob, with ``:key`` behind it for an ``.npz`` file.
    """

    files: tuple[str, ...] = ()
    step: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    arrays: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Return what the good entries of ``metrics`` hold."""
        files = values.get("files", ())
        return cls(
            files=(files,) if isinstance(files, str) else tuple(files),
            step=values.get("step"),
            names=dict(values.get("names", {})),
            arrays={name: values[name] for name in ARRAYS if name in values},
        )


@dataclass(frozen=True)
class Step:
    """One of several commands that make a trial; None for a timeout means any time."""

    name: str
    command: tuple[str, ...]
    timeout_s: float | None = None
    stall_timeout_s: float | None = None


@dataclass(frozen=True)
class ParamsFile:
    """A file with the parameters, from which the program reads them.

    Attributes:
        write: its path in the trial's copy of the folder, or in the run directory without a copy.
        source: the file whose keys are set, absolute; None for one that holds nothing else.
    """

    write: str
    source: str | None = None


@dataclass(frozen=True)
class Resume:
    """How the program continues from a checkpoint: `words` are added, with ``${checkpoint}``."""

    words: tuple[str, ...]
    checkpoint: str | None = None


@dataclass(frozen=True)
class Program:
    """A user's own script, run as a trial.

    Attributes:
        path: the script, absolute, or the name of a console command.
        style: how arguments are written; one of `argument_styles.STYLES`.
        booleans: one of `argument_styles.BOOLEANS`.
        spelling: for the style ``auto``: parameter to its option, the way in which that takes
            values (value, flag, off, pair, empty, several), and the option that switches it off.
        python: the interpreter for ``.py`` files; None means the one that runs the sweep.
        outputs: glob, relative to the working folder, of the folder a trial makes.
        patterns: regular expressions whose named groups are metrics in the output, or the ``step``.
        workdir: the folder it runs in, absolute; with `copies` each trial runs in a copy of it.
        command: the words of ``command`` with macros; empty for path and arguments.
        folder: where relative paths among the arguments start, the sweep file's; "" for `workdir`.
        link: what of `workdir` is linked into the copy instead, relative to it.
        conda: the folder of the conda environment that it runs in.
        shell: True if `command` is one text that a shell reads.
        resume: how it continues from a checkpoint; None if it starts again.
        grace_s: the time that it has to end itself after `stop_signal`.
        stall_timeout_s: longest time without output; None for any, as for `timeout_s`.
        arrays: what its arrays are: kind and rate_hz; empty if it states that itself.
        seed: the sweep's seed, for ``${seed}`` if the config has none.
    """

    path: str
    style: str = "--k=v"
    booleans: str = "value"
    python: str | None = None
    outputs: str | None = None
    patterns: tuple[str, ...] = ()
    metrics: MetricSources = field(default_factory=MetricSources)
    workdir: str = "."
    command: tuple[str, ...] = ()
    folder: str = changeable("")
    copies: bool = False
    link: tuple[str, ...] = ()
    conda: str | None = None
    shell: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    params_file: ParamsFile | None = None
    steps: tuple[Step, ...] = ()
    resume: Resume | None = field(default=None, metadata=MAY_CHANGE)
    stop_signal: str = changeable("SIGTERM")
    grace_s: float = changeable(8.0)
    timeout_s: float | None = changeable(None)
    stall_timeout_s: float | None = changeable(None)
    seed: int = changeable(0)
    seed_parameter: str = changeable("seed")
    spelling: Mapping[str, Sequence[str]] = changeable(dict)
    arrays: Mapping[str, Any] = changeable(dict)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """Return the program of `dataclasses.asdict`, also after a round trip through JSON."""
        names = {item.name for item in fields(cls)}
        known = {key: value for key, value in raw.items() if key in names}
        nested = {"metrics": MetricSources, "params_file": ParamsFile, "resume": Resume}
        for name, kind in nested.items():
            if isinstance(known.get(name), Mapping):
                known[name] = _from_json(kind, known[name])
        known["steps"] = tuple(_from_json(Step, step) for step in known.get("steps", ()))
        made: Self = _from_json(cls, known)
        return made


def _from_json(kind: type, raw: Mapping[str, Any]) -> Any:
    """Return a record with tuples, which JSON holds as lists."""
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()})
