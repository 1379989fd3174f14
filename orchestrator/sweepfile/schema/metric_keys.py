"""The key ``metrics`` of a sweep file: where the values of a program come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.sweepfile.model.metric_sources import ARRAYS
from orchestrator.sweepfile.schema.containers import Either, Key, ListOf, MapOf, Record
from orchestrator.sweepfile.schema.fields import Regex, Schema, Text, refuse
from orchestrator.sweepfile.yaml.node import Node
from orchestrator.sweepfile.yaml.problems import Log


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
