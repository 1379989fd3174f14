"""The keys of a sweep file that describe a program: how it is run, and where its metrics are."""

from __future__ import annotations

from typing import Any

from orchestrator.sweepfile.model.program import ARRAYS
from orchestrator.sweepfile.program.argument_styles import BOOLEANS, STYLES
from orchestrator.sweepfile.schema.containers import (
    CommandWords,
    Either,
    Key,
    ListOf,
    ListOr,
    MapOf,
    Record,
    SpecKey,
)
from orchestrator.sweepfile.schema.fields import (
    DURATION,
    REGEX,
    SWITCH,
    Kind,
    Number,
    Scalar,
    Text,
    Word,
    path_inside,
)

PROGRAMS = ("program", "command", "steps")
"""The keys that start a user's own program."""

_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_TIMEOUT = "the trial fails if it takes longer"
_STALL = "the trial fails if it prints nothing for so long"


def _variable(value: Any) -> str:
    """Return the text of an environment variable."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, int | float | str) or "\0" in str(value):
        raise ValueError
    return str(value)


_VARIABLE = Scalar("a text with macros", _variable, {"type": ["string", "number", "boolean"]})
_STEP = Record(
    {
        "command": Key(CommandWords(), "the words that start it, with macros", True),
        "timeout": Key(DURATION, _TIMEOUT),
        "stall_timeout": Key(DURATION, _STALL),
    },
    expected="a list of words, or a mapping such as {command: [...], timeout: 10m}",
)
_WORDS = Text("words such as '--resume ${checkpoint}'")
_RESUME = Record(
    {
        "args": Key(Either(_WORDS, CommandWords()), "what is added to its arguments", True),
        "checkpoint": Key(Text("a glob such as checkpoints/*.pt"), "the files that it saves"),
    },
    expected="words, or a mapping such as {args: --resume ${checkpoint}, checkpoint: '*.pt'}",
)
_PARAMS_FILE = Record(
    {
        "write": Key(path_inside("a file name"), "where it is written; by default as `from`"),
        "from": Key(Text("a file"), "the file whose keys and macros are set"),
    },
    expected="a file, or a mapping such as {write: params.yaml, from: params.yaml}",
)
_ARGS = Record(
    {
        "style": Key(Word(STYLES), "how a value is passed: --lr=0.1 or --lr 0.1"),
        "booleans": Key(
            Word(BOOLEANS), "--amp or nothing (flag), --amp or --no-amp (pair), --amp=True (value)"
        ),
    },
    expected="--k=v, hyphen-space, or a mapping such as {style: --k=v, booleans: flag}",
)
_FILE = Text("a file or glob such as logs/*/metrics.csv")
_ARRAY = Text("a file or glob such as out/pred.npy or arrays.npz:pred")
_METRICS = Record(
    {
        "pattern": Key(
            Either(REGEX, ListOf(REGEX, "a list of regular expressions")),
            "regular expressions whose named groups are metrics; a group called step is the step",
        ),
        "files": Key(
            Either(_FILE, ListOf(_FILE, "a list of files")),
            "logs that are followed: CSV, JSON lines, JSON, TensorBoard, W&B, MLflow, text",
        ),
        "step": Key(Text("the name of a column"), "the column of the logs that is the step"),
        "names": Key(
            MapOf(Text("a metric's name in the logs"), "a mapping from metric to name in the logs"),
            "metric to its name in the logs, such as val_loss: eval_loss",
        ),
        **{name: Key(_ARRAY, f"the array that the program saves as {name}") for name in ARRAYS},
    },
    expected="a mapping such as {pattern: 'val_mae=(?P<val_mae>[0-9.]+)'} or {files: metrics.csv}",
    filled=True,
)
_PATH = path_inside("a path")


def _key(kind: Kind, help: str) -> SpecKey:
    return SpecKey(kind, help, of_program=True)


KEYS = {
    "program": SpecKey(Text("a script"), "the user's own script as the trials", of_wandb=True),
    "command": SpecKey(
        CommandWords(), "the words that start the program, with W&B's macros", of_wandb=True
    ),
    "args": _key(Either(Word(STYLES), _ARGS), "how the program gets its parameters"),
    "python": _key(Text("an interpreter"), "the interpreter of a .py program"),
    "outputs": _key(
        Text("a glob such as experiments/*/"), "the folder that the program makes for a trial"
    ),
    "metrics": _key(_METRICS, "where the program's metrics and arrays are found"),
    "conda": _key(Text("a conda environment"), "the conda environment that the program runs in"),
    "workdir": _key(
        Text("copy, or a folder"),
        "where the program runs: copy gives each trial its own copy of the folder",
    ),
    "link": _key(
        Either(_PATH, ListOf(_PATH, "a list of paths")),
        "what of the folder is linked into the copy, such as data",
    ),
    "shell": _key(SWITCH, "true lets a shell read command, which is one text then"),
    "env": _key(
        MapOf(
            _VARIABLE,
            "a mapping from variable to text",
            "[A-Za-z_][A-Za-z0-9_]*",
            "a variable's name of letters, digits and underscores",
        ),
        "environment variable to its text, with macros",
    ),
    "params_file": _key(
        Either(Text("a file"), _PARAMS_FILE), "a file from which the program reads its parameters"
    ),
    "steps": _key(
        MapOf(
            ListOr(CommandWords(), _STEP),
            "a mapping from name to command",
            r"[\w][\w.-]{0,39}",
            "a name of letters, digits, dots and hyphens",
        ),
        "several commands that make a trial, one after another",
    ),
    "resume": _key(
        Either(_WORDS, ListOr(CommandWords(), _RESUME)),
        "how the program continues from a checkpoint of its own",
    ),
    "stop_signal": _key(Word(_SIGNALS), "the signal that asks it to end; by default SIGTERM"),
    "grace_s": _key(Number(least=0), "the seconds that it then has before SIGKILL; by default 8"),
    "timeout": _key(DURATION, _TIMEOUT),
    "stall_timeout": _key(DURATION, _STALL),
}
