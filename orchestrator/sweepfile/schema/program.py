"""The keys of a sweep file that say how a program is run; the rest stands in `spec.keys`.

The key ``metrics`` of a sweep file: where the values of a program come from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from orchestrator.files import parse_duration
from orchestrator.sweepfile.model.program import ARRAYS
from orchestrator.sweepfile.program.argument_styles import BOOLEANS, STYLES
from orchestrator.sweepfile.schema.containers import (
    Either,
    Key,
    ListOf,
    ListOr,
    MapOf,
    Record,
    Words,
)
from orchestrator.sweepfile.schema.fields import (
    Number,
    Regex,
    Schema,
    Switch,
    Text,
    Word,
    join,
    refuse,
)
from orchestrator.sweepfile.yaml.node import Log, Node

SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
"""What may ask a program to end."""


@dataclass(frozen=True)
class Duration:
    """A time above zero, such as ``30m``; read as seconds."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return seconds."""
        try:
            seconds = parse_duration(node.value)
        except ValueError:
            bare = type(node.value) in (int, float)
            hint = f" Write {node.value}s." if bare else ""
            return refuse(node, key, log, "a duration, such as 90s, 30m or 1h 30m", hint)
        if seconds <= 0:
            return refuse(node, key, log, "a duration above 0")
        return seconds

    def schema(self) -> Schema:
        """Return a pattern."""
        return {"type": "string", "pattern": r"\d\s*([dDhHsS]|[mM]([iI][nN])?)\s*$"}


@dataclass(frozen=True)
class Inside:
    """A path that stays inside the folder in which it counts.

    Attributes:
        expected: what it is, for messages.
    """

    expected: str

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the path in its plain form."""
        value = node.value
        if not isinstance(value, str) or "\0" in value or not value.strip(" ./"):
            return refuse(node, key, log, self.expected)
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or value.startswith("~"):
            return refuse(node, key, log, f"{self.expected} that does not lead out of its folder")
        return str(path)

    def schema(self) -> Schema:
        """Return a pattern."""
        return {"type": "string", "pattern": r"^(?![/~])(?!.*(^|/)\.\.(/|$)).*[^ ./]"}


@dataclass(frozen=True)
class Named:
    """A mapping whose keys match a pattern.

    Attributes:
        map: the kind of the mapping.
        pattern: what its keys match.
        expected: what a key is, for messages.
    """

    map: MapOf
    pattern: str
    expected: str

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return a dict of the good entries."""
        values = self.map.read(node, key, log)
        if isinstance(values, dict):
            for name in values:
                if not re.fullmatch(self.pattern, name):
                    where = Node(name, node.key_lines.get(name), node.origin)
                    log.at(where, join(key, name), f"must be {self.expected}, but is not.")
        return values

    def schema(self) -> Schema:
        """Return an object type."""
        return {**self.map.schema(), "propertyNames": {"pattern": f"^{self.pattern}$"}}


_TIMEOUT = "it fails where it takes longer"
_STALL = "it fails where it prints nothing for so long"
_STEP = Record(
    {
        "command": Key(Words(), "the words that start it, with macros", True),
        "timeout": Key(Duration(), _TIMEOUT),
        "stall_timeout": Key(Duration(), _STALL),
    },
    expected="a list of words, or a mapping such as {command: [...], timeout: 10m}",
)
_WORDS = Either(Text("words such as '--resume ${checkpoint}'"), Words())
_RESUME = Record(
    {
        "args": Key(_WORDS, "what is added to its arguments", True),
        "checkpoint": Key(Text("a glob such as checkpoints/*.pt"), "the files that it saves"),
    },
    expected="words, or a mapping such as {args: --resume ${checkpoint}, checkpoint: '*.pt'}",
)
_PARAMS_FILE = Record(
    {
        "write": Key(Inside("the name of a file"), "where it is written; by default as `from`"),
        "from": Key(Text("a file"), "the file whose keys and macros are set"),
    },
    expected="a file, or a mapping such as {write: params.yaml, from: params.yaml}",
)
_SCALAR = Text("a text with macros", empty=True)


@dataclass(frozen=True)
class Variable:
    """The text of an environment variable; numbers and truth values become text."""

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return the text."""
        if isinstance(node.value, bool):
            return "true" if node.value else "false"
        if isinstance(node.value, int | float):
            return str(node.value)
        return _SCALAR.read(node, key, log)

    def schema(self) -> Schema:
        """Return a scalar type."""
        return {"type": ["string", "number", "boolean"]}


_ARGS = Record(
    {
        "style": Key(Word(STYLES), "how a value is passed: --lr=0.1 or --lr 0.1"),
        "booleans": Key(
            Word(BOOLEANS), "--amp or nothing (flag), --amp or --no-amp (pair), --amp=True (value)"
        ),
    },
    expected="--k=v, hyphen-space, or a mapping such as {style: --k=v, booleans: flag}",
)

ARGS = Key(Either(Word(STYLES), _ARGS), "how the program gets its parameters")
KEYS = {
    "conda": Key(Text("a conda environment"), "the conda environment that the program runs in"),
    "workdir": Key(
        Text("copy, or a folder"),
        "where the program runs: copy gives each trial its own copy of the folder",
    ),
    "link": Key(
        Either(Inside("a path"), ListOf(Inside("a path"), "a list of paths")),
        "what of the folder is linked into the copy, such as data",
    ),
    "shell": Key(Switch(), "true lets a shell read command, which is one text then"),
    "env": Key(
        Named(
            MapOf(Variable(), "a mapping from variable to text"),
            "[A-Za-z_][A-Za-z0-9_]*",
            "a variable's name of letters, digits and underscores",
        ),
        "environment variable to its text, with macros",
    ),
    "params_file": Key(
        Either(Text("a file"), _PARAMS_FILE), "a file from which the program reads its parameters"
    ),
    "steps": Key(
        Named(
            MapOf(ListOr(Words(), _STEP), "a mapping from name to command"),
            r"[\w][\w.-]{0,39}",
            "a name of letters, digits, dots and hyphens",
        ),
        "several commands that make a trial, one after another",
    ),
    "resume": Key(
        Either(Text("words such as '--resume ${checkpoint}'"), ListOr(Words(), _RESUME)),
        "what lets the program go on from a checkpoint of its own",
    ),
    "stop_signal": Key(Word(SIGNALS), "the signal that asks it to end; by default SIGTERM"),
    "grace_s": Key(Number(least=0), "the seconds that it then has before SIGKILL; by default 8"),
    "timeout": Key(Duration(), _TIMEOUT),
    "stall_timeout": Key(Duration(), _STALL),
}


@dataclass(frozen=True)
class _Filled:
    """A record with at least one entry.

    Attributes:
        record: the kind of the record.
    """

    record: Record

    def read(self, node: Node, key: str, log: Log) -> Any:
        """Return what the record reads."""
        if node.value == {}:
            return refuse(node, key, log, self.record.expected)
        return self.record.read(node, key, log)

    def schema(self) -> Schema:
        """Return the record's with a least size."""
        return {**self.record.schema(), "minProperties": 1}


_FILE = Text("a file or glob such as logs/*/metrics.csv")
_ARRAY = Text("a file or glob such as out/pred.npy or arrays.npz:pred")
_NAME = Text("the name of a metric in the logs")

_METRICS = Record(
    {
        "pattern": Key(
            Either(Regex(), ListOf(Regex(), "a list of regular expressions")),
            "regular expressions whose named groups are metrics; a group called step is the step",
        ),
        "files": Key(
            Either(_FILE, ListOf(_FILE, "a list of files")),
            "logs that are followed: CSV, JSON lines, JSON, TensorBoard, W&B, MLflow, text",
        ),
        "step": Key(Text("the name of a column"), "the column of the logs that is the step"),
        "names": Key(
            MapOf(_NAME, "a mapping from metric to its name in the logs"),
            "metric to its name in the logs, such as val_loss: eval_loss",
        ),
        **{name: Key(_ARRAY, f"the array that the program saves as {name}") for name in ARRAYS},
    },
    expected="a mapping such as {pattern: 'val_mae=(?P<val_mae>[0-9.]+)'} or {files: metrics.csv}",
)
METRICS = _Filled(_METRICS)
