"""A user's own program as a sweep file describes it: what starts it, and how it is treated.

These are plain values that travel as JSON to the process that runs a trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

ARRAYS = tuple(
    f"{split}{role}" for split in ("", "val_", "train_") for role in ("predictions", "targets")
)
"""The arrays that ``metrics`` may name; those without a split are of test data."""


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
        return cls(
            files=_many(values.get("files")),
            step=values.get("step"),
            names=dict(values.get("names", {})),
            arrays={name: values[name] for name in ARRAYS if name in values},
        )


def _many(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


GRACE_S = 8.0
"""Time that a program has by default to end itself when it is stopped."""


@dataclass(frozen=True)
class Step:
    """One of several commands that make a trial.

    Attributes:
        name: part of the name of its log.
        command: its words, with macros.
        timeout_s: longest time that it may take; None for any.
        stall_timeout_s: longest time without output; None for any.
    """

    name: str
    command: tuple[str, ...]
    timeout_s: float | None = None
    stall_timeout_s: float | None = None


@dataclass(frozen=True)
class ParamsFile:
    """A file with the parameters, from which the program reads them.

    Attributes:
        write: its path, relative to the trial's copy of the program's folder, or to the run
            directory if the program runs in place.
        source: the file whose keys are set, absolute; None for one that holds nothing else.
    """

    write: str
    source: str | None = None


@dataclass(frozen=True)
class Resume:
    """How the program continues from a checkpoint of its own.

    Attributes:
        words: what is added to its arguments, with ``${checkpoint}`` in them.
        checkpoint: glob of the files (or folders) that it saves; None for the usual endings.
    """

    words: tuple[str, ...]
    checkpoint: str | None = None


_TREATMENT = {"may_change": True}


@dataclass(frozen=True)
class Program:
    """A user's own script, run as a trial.

    Attributes:
        path: the script, absolute, or the name of a console command.
        style: how arguments are written; one of `argument_styles.STYLES`.
        booleans: ``"value"`` (``--amp=True``), ``"flag"`` (``--amp``, or nothing for False) or
            ``"pair"`` (``--amp`` or ``--no-amp``).
        python: the interpreter for ``.py`` files; None means the one that runs the sweep.
        outputs: glob, relative to the working folder, of the folder a trial makes.
        patterns: regular expressions with named groups that find metrics in the output; a group
            called ``step`` gives the step.
        workdir: the folder it runs in, absolute; with `copies` the one that is copied.
        command: the words of ``command`` with macros; then the argument list comes from
            `orchestrator.sweepfile.program.command.command_line`.
        folder: the sweep file's folder, from which relative paths among the arguments start; ""
            if that is `workdir`.
        copies: True if each trial runs in its own copy of `workdir`.
        link: what of `workdir` is linked into the copy instead, relative to it.
        conda: the folder of the conda environment that it runs in.
        shell: True if `command` is one text that a shell reads.
        env: environment variables to their texts, with macros.
        params_file: the file through which parameters are handed over.
        steps: several commands, one after another, instead of one.
        resume: how it continues from a checkpoint; None if it starts again.
        stop_signal: the name of the signal that asks it to end.
        grace_s: the time that it then has.
        timeout_s: longest time that it may take; None for any.
        stall_timeout_s: longest time without output; None for any.
        seed: the sweep's seed, for ``${seed}`` if the config has none.
        seed_parameter: the parameter that holds the config's.
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
    folder: str = field(default="", metadata=_TREATMENT)
    copies: bool = False
    link: tuple[str, ...] = ()
    conda: str | None = None
    shell: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    params_file: ParamsFile | None = None
    steps: tuple[Step, ...] = ()
    resume: Resume | None = field(default=None, metadata=_TREATMENT)
    stop_signal: str = field(default="SIGTERM", metadata=_TREATMENT)
    grace_s: float = field(default=GRACE_S, metadata=_TREATMENT)
    timeout_s: float | None = field(default=None, metadata=_TREATMENT)
    stall_timeout_s: float | None = field(default=None, metadata=_TREATMENT)
    seed: int = field(default=0, metadata=_TREATMENT)
    seed_parameter: str = field(default="seed", metadata=_TREATMENT)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """Return the program of `dataclasses.asdict`, also after a round trip through JSON."""
        known = {key: _tuples(value) for key, value in raw.items()}
        for name, kind in (("params_file", ParamsFile), ("resume", Resume)):
            if known.get(name) is not None:
                known[name] = kind(**_tuples_inside(known[name]))
        if isinstance(known.get("metrics"), Mapping):
            known["metrics"] = MetricSources(**_tuples_inside(known["metrics"]))
        known["steps"] = tuple(Step(**_tuples_inside(step)) for step in known.get("steps", ()))
        names = {item.name for item in fields(cls)}
        return cls(**{key: value for key, value in known.items() if key in names})


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _tuples_inside(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _tuples(value) for key, value in raw.items()}
