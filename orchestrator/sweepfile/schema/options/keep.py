"""Which checkpoints are kept of trials that have ended."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orchestrator.sweepfile.schema.containers import Key, Record
from orchestrator.sweepfile.schema.fields import Scalar
from orchestrator.sweepfile.schema.options import Option

if TYPE_CHECKING:
    from orchestrator.sweepfile.checks.parsed_file import ParsedFile
    from orchestrator.sweepfile.model.spec import Spec

_TOP = re.compile(r"\s*top\s+([1-9]\d*)\s*")


def _count(value: Any) -> int:
    if type(value) is not int or value not in (0, 1):
        many = type(value) is int and value > 1
        raise ValueError("A trial has one of them at most. Write 1." if many else "")
    return value


def _trials(value: Any) -> int | None:
    """Return how many of the best trials are meant; None for all."""
    if value == "all":
        return None
    if type(value) is int and value > 0:
        raise ValueError(f"Write top {value}.")
    match = _TOP.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError
    return int(match[1])


def _check(file: ParsedFile, spec: Spec) -> None:
    keep = spec.options["keep"]
    resume = spec.program.resume if spec.program is not None else None
    if spec.program is not None and (resume is None or resume.checkpoint is None):
        message = (
            "needs a trainer, or a program whose resume has a checkpoint: which files of a program "
            "are checkpoints is not known. Write resume: {args: ..., checkpoint: '*.pt'}."
        )
        file.error(message, "keep")
    elif spec.program is not None and keep.get("best", 1) and not keep.get("last", 1):
        message = (
            "deletes all checkpoints of a program, since which of them is the best is not known. "
            "Write last: 1, or best: 0 too to delete them all."
        )
        file.warn(message, "keep", "last")
    if keep.get("of") is not None and (spec.metric is None or spec.objectives):
        found = "two metrics" if spec.objectives else "no metric"
        file.error(f"needs one metric to rank trials by (found {found}). Write all.", "keep", "of")


_COUNT = Scalar("0 or 1", _count, {"enum": [0, 1]})
OPTION = Option(
    Record(
        {
            "best": Key(_COUNT, "1 keeps the checkpoint of a trial's best report; by default 1"),
            "last": Key(_COUNT, "1 keeps the last checkpoint; by default 1"),
            "of": Key(
                Scalar(
                    "all, or the best so many, such as top 5",
                    _trials,
                    {"anyOf": [{"const": "all"}, {"type": "string", "pattern": _TOP.pattern}]},
                ),
                "of which trials; all checkpoints of the others are deleted; by default all",
            ),
        },
        "a mapping such as {best: 1, last: 0, of: top 5}",
        filled=True,
    ),
    "which checkpoints are kept of trials that have ended; by default all",
    name="keep",
    may_change=True,
    joined=True,
    check=_check,
)
