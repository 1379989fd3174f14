"""The keys of a sweep file that describe a program: how it is run, and where its metrics are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.sweepfile.model.program import ARRAYS
from orchestrator.sweepfile.program.argument_styles import BOOLEANS, STYLES
from orchestrator.sweepfile.schema.containers import Either, Key, ListOf, MapOf, Record, SpecKey
from orchestrator.sweepfile.schema.fields import (
    SWITCH,
    Kind,
    Number,
    Scalar,
    Schema,
    Text,
    Word,
    join,
    refuse,
)
from orchestrator.sweepfile.schema.text_kinds import DURATION, REGEX, path_inside
from orchestrator.sweepfile.yaml.node import Log, Node

PROGRAMS = ("program", "command", "steps")
"""The keys that start a user's own program."""


@dataclass(frozen=True)
class CommandWords:
    """The words of a command; numbers and the like become words as Python writes them."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a tuple of words, or the text if the command is one text."""
        if isinstance(node.value, str) and node.value.strip() and "\0" not in node.value:
            return node.value
        if not isinstance(node.value, list) or not node.value:
            expected = "a list of words such as [python, '${program}', '${args}']"
            return refuse(node, key, log, expected)
        for place, item in enumerate(node.value):
            if isinstance(item.value, dict | list) or "\0" in str(item.value):
                return refuse(item, join(key, str(place)), log, "a word")
        return tuple(str(item.value) for item in node.value)

    def schema(self) -> Schema:
        """Return an array of scalars, or text."""
        scalar = {"type": ["string", "number", "boolean", "null"]}
        items = {"type": "array", "items": scalar, "minItems": 1}
        return {"anyOf": [items, {"type": "string", "minLength": 1}]}


def _variable(value: Any) -> str:
    """Return the text of an environment variable."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, int | float | str) or "\0" in str(value):
        raise ValueError
    return str(value)


def _one_or_more(kind: Kind, several: str) -> Either:
    return Either(kind, ListOf(kind, several))


_TIMEOUT = Key(DURATION, "the trial fails if it takes longer")
_STALL_TIMEOUT = Key(DURATION, "the trial fails if it prints nothing for so long")
_STEP = Record(
    {
        "command": Key(CommandWords(), "the words that start it, with macros", True),
        "timeout": _TIMEOUT,
        "stall_timeout": _STALL_TIMEOUT,
    },
    "a list of words, or a mapping such as {command: [...], timeout: 10m}",
)
_WORDS = Text("words such as '--resume ${checkpoint}'")
_RESUME = Record(
    {
        "args": Key(Either(_WORDS, CommandWords()), "what is added to its arguments", True),
        "checkpoint": Key(Text("a glob such as checkpoints/*.pt"), "the files that it saves"),
    },
    "words, or a mapping such as {args: --resume ${checkpoint}, checkpoint: '*.pt'}",
)
_PARAMS_FILE = Record(
    {
        "write": Key(path_inside("a file name"), "where it is written; by default as `from`"),
        "from": Key(Text("a file"), "the file whose keys and macros are set"),
    },
    "a file, or a mapping such as {write: params.yaml, from: params.yaml}",
)
_ARGS = Record(
    {
        "style": Key(Word(STYLES), "how a value is passed: --lr=0.1 or --lr 0.1"),
        "booleans": Key(
            Word(BOOLEANS), "--amp or nothing (flag), --amp or --no-amp (pair), --amp=True (value)"
        ),
    },
    "--k=v, hyphen-space, or a mapping such as {style: --k=v, booleans: flag}",
)
_FILE = Text("a file or glob such as logs/*/metrics.csv")
_ARRAY = Text("a file or glob such as out/pred.npy or arrays.npz:pred")
_METRICS = Record(
    {
        "pattern": Key(
            _one_or_more(REGEX, "a list of regular expressions"),
            "regular expressions whose named groups are metrics; a group called step is the step",
        ),
        "files": Key(
            _one_or_more(_FILE, "a list of files"),
            "logs that are followed: CSV, JSON lines, JSON, TensorBoard, W&B, MLflow, text",
        ),
        "step": Key(Text("the name of a column"), "the column of the logs that is the step"),
        "names": Key(
            MapOf(Text("a metric's name in the logs"), "a mapping from metric to name in the logs"),
            "metric to its name in the logs, such as val_loss: eval_loss",
        ),
        **{name: Key(_ARRAY, f"the array that the program saves as {name}") for name in ARRAYS},
    },
    "a mapping such as {pattern: 'val_mae=(?P<val_mae>[0-9.]+)'} or {files: metrics.csv}",
    filled=True,
)
_GROUPS = Text("a file in the run folder such as rooms.npy or results.csv:room")
_ARRAYS_KIND = Record(
    {
        "kind": Key(Text("a kind of data"), "such as decay_curve, or the trainer's name"),
        "rate_hz": Key(Number(least=1e-9), "the samples per second of decay curves"),
        "groups": Key(
            _GROUPS, "the file with a label per sample (.npy, or a column); equal ones are related"
        ),
        "val_groups": Key(_GROUPS, "that of validation data; by default val_ before its name"),
    },
    "a mapping such as {kind: decay_curve, rate_hz: 48000, groups: results.csv:room}",
)
_ENV = MapOf(
    Scalar("a text with macros", _variable, {"type": ["string", "number", "boolean"]}),
    "a mapping from variable to text",
    "[A-Za-z_][A-Za-z0-9_]*",
    "a variable's name of letters, digits and underscores",
)
_STEPS = MapOf(
    Either(CommandWords(), _STEP, lists_first=True),
    "a mapping from name to command",
    r"[\w][\w.-]{0,39}",
    "a name of letters, digits, dots and hyphens",
)
_SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_ONLY_OF_PROGRAMS = {
    "args": Key(Either(Word(STYLES), _ARGS), "how the program gets its parameters"),
    "unused": Key(SWITCH, "true if parameters may reach nothing that the program is seen to read"),
    "python": Key(Text("an interpreter"), "the interpreter of a .py program"),
    "outputs": Key(
        Text("a glob such as experiments/*/"), "the folder that the program makes for a trial"
    ),
    "metrics": Key(_METRICS, "where the program's metrics and arrays are found"),
    "arrays": Key(_ARRAYS_KIND, "what the arrays are, so that their own metrics are computed"),
    "conda": Key(Text("a conda environment"), "the conda environment that the program runs in"),
    "workdir": Key(
        Text("copy, or a folder"),
        "where the program runs: copy gives each trial its own copy of the folder",
    ),
    "link": Key(
        _one_or_more(path_inside("a path"), "a list of paths"),
        "what of the folder is linked into the copy, such as data",
    ),
    "shell": Key(SWITCH, "true lets a shell read command, which is one text then"),
    "env": Key(_ENV, "environment variable to its text, with macros"),
    "params_file": Key(
        Either(Text("a file"), _PARAMS_FILE), "a file from which the program reads its parameters"
    ),
    "steps": Key(_STEPS, "several commands that make a trial, one after another"),
    "resume": Key(
        Either(_WORDS, Either(CommandWords(), _RESUME, lists_first=True)),
        "how the program continues from a checkpoint of its own",
    ),
    "stop_signal": Key(Word(_SIGNALS), "the signal that asks it to end; by default SIGTERM"),
    "grace_s": Key(Number(least=0), "the seconds that it then has before SIGKILL; by default 8"),
    "stall_timeout": _STALL_TIMEOUT,
}
KEYS = {
    "program": SpecKey(Text("a script"), "the user's own script as the trials", of_wandb=True),
    "command": SpecKey(
        CommandWords(), "the words that start the program, with W&B's macros", of_wandb=True
    ),
    **{
        name: SpecKey(key.kind, key.help, of_program=True)
        for name, key in _ONLY_OF_PROGRAMS.items()
    },
}
