"""Distinguish an out-of-memory from other failures, and decide what need to try next. Pure.

::

    classify("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. ...")   # gpu
    classify("", sigkill=True, oom_kills=1)                                                 # host
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from orchestrator.files import GIB, MIB
from orchestrator.placement.admission.ordering import Want
from orchestrator.placement.model import Need

Kind = Literal["gpu", "host"]

RAISE = 1.5
RAISES = 3
"""How often the need is raised before a trial gets a card to itself."""

MOST_RETRIES = 5
"""How often a trial is tried again in all; on an empty card it fails at once."""

ALL_OF_IT = 0.95

# These are looked for first: TensorFlow's messages for both differ in the device alone.
_HOST = re.compile(
    r"""
      (?<![\w.])(?:numpy\.[\w.]*)?_?(?:Array)?MemoryError\b
    | std::bad_alloc
    | DefaultCPUAllocator:\s*(?:can't\ allocate|not\ enough)\ memory
    | Cannot\ allocate\ memory | \[Errno\ 12\]
    | OOM\ when\ allocating\ tensor.*device:CPU
    | (?:oom-kill|oom_reaper|Memory\ cgroup\ out\ of\ memory|Out\ of\ memory:\ Kill)
    | ray\.exceptions\.OutOfMemoryError
    | (?:node|worker)s?\ (?:was\ |is\ |were\ )?running\ low\ on\ memory
    | killed\ due\ to\ (?:memory\ pressure|the\ node\ running\ low\ on\ memory)
    """,
    re.VERBOSE,
)
_GPU = re.compile(
    r"""
      (?:CUDA|HIP|MPS\ backend|XPU|NCCL)\b.{0,40}?\bout\ of\ memory
    | \b(?:torch\.(?:cuda\.)?|cupy[\w.]*\.)OutOfMemoryError\b
    | CUDA_ERROR_OUT_OF_MEMORY | cudaErrorMemoryAllocation | hipErrorOutOfMemory
    | (?:cuda|hip)Malloc\w*.{0,60}out\ of\ memory
    | (?:CUBLAS|HIPBLAS|CUDNN|MIOPEN|CUSOLVER|CUSPARSE|CUFFT)_(?:STATUS_)?ALLOC_FAILED
    | OOM\ when\ allocating\ tensor
    | (?:RESOURCE_EXHAUSTED|ResourceExhausted\w*|Resource\ exhausted)\b
        .{0,200}?(?:out\ of\ memory|OOM|[Ff]ailed\ to\ allocate|allocat\w*\ \d)
    | \(unspecified\ cudaError\).{0,40}out\ of\ memory
    """,
    re.VERBOSE | re.IGNORECASE,
)
# The first line of what Python prints of an exception, below the frames.
_RAISED = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Exit|Interrupt|Failed|Iteration)\b(?::|$)")
# They report that something failed elsewhere, not what.
_WRAPPER = re.compile(
    r"^(?:[\w.]*\.)?(?:CalledProcessError|ChildFailedError|ProcessRaisedException|"
    r"ProcessExitedException|RayTaskError|TrialError|WorkerCrashedError|SystemExit)\b"
)
_CHAINED = re.compile(
    r"^(?:During handling of the above exception|The above exception was the direct cause)"
)
_PREFIX = re.compile(r"^(?:\[rank\d+\]:\s?|\(\w[\w.]* pid=\d+[^)]*\)\s?|E\s{3,})")

_SIZE = r"(?<![\d.])(\d{1,19}(?:\.\d{1,9})?)\s{0,9}([KMGT]i?B|bytes)"
_ASKED = re.compile(rf"Tried to allocate {_SIZE}|trying to allocate {_SIZE}", re.IGNORECASE)
_HELD = re.compile(
    rf"this process has {_SIZE} memory in use|{_SIZE} reserved in total by PyTorch"
    rf"|{_SIZE} already allocated",
    re.IGNORECASE,
)
_UNITS = {"b": 1, "k": 1 << 10, "m": MIB, "g": GIB, "t": 1 << 40}


@dataclass(frozen=True)
class Figures:
    """What a trial asked for and held when it ran out of memory; 0 if its message lacks it."""

    asked_bytes: int = 0
    held_bytes: int = 0

    @property
    def peak_bytes(self) -> int:
        """What it would have held: the least that it needs."""
        return self.asked_bytes + self.held_bytes


def classify(text: str, *, sigkill: bool = False, oom_kills: int = 0) -> Kind | None:
    """Return of what memory a failed trial ran out: ``gpu``, ``host``, or None for neither.

    An out-of-memory that the program survived, so that it failed of something else later, is none.

    Args:
        text: the message of the failure, or the end of the log.
        sigkill: True if another process ended it by SIGKILL.
        oom_kills: by how much the ``oom_kill`` counter of its control group rose meanwhile.
    """
    if sigkill and oom_kills > 0:
        return "host"
    lines = [_PREFIX.sub("", line.rstrip()) for line in text.splitlines()]
    for place, line in reversed(list(enumerate(lines, 1))):
        is_host = _HOST.search(line) is not None
        if is_host or _GPU.search(line):
            kind: Kind = "host" if is_host else "gpu"
            return kind if _is_final(lines[place:]) else None
    return None


def figures(text: str) -> Figures:
    """Return the sizes in the text of an out-of-memory, the last of each kind."""
    return Figures(_last(_ASKED, text), _last(_HELD, text))


def retry(
    given_bytes: int | None,
    peak_bytes: int,
    *,
    greatest_bytes: int,
    was_alone: bool,
    retries: int,
) -> Want | None:
    """Return how a trial that ran out of memory is tried again; None if it is to fail.

    It gets at least the observed peak and at least 1.5 times what it was given.

    Args:
        given_bytes: what its slot held; None if unknown.
        peak_bytes: what it was seen to take or to ask for; 0 if unknown.
        greatest_bytes: what one trial can have at most (`Admission.greatest`).
        was_alone: True if nothing else ran on its devices, ours or another user's.
        retries: how often it was tried again for this already.
    """
    # What is free on an empty card differs a little from time to time.
    had_all = given_bytes is None or given_bytes >= ALL_OF_IT * greatest_bytes
    if (was_alone and had_all) or retries >= MOST_RETRIES:
        return None
    raised = max(1, math.ceil((given_bytes or 0) * RAISE), peak_bytes)
    if raised < greatest_bytes and retries < RAISES:
        return Want(Need(raised, "measured"))
    # It gets all of the card that has most; a smaller one may be too small once more.
    least = max(1, min(given_bytes or 1, greatest_bytes), int(ALL_OF_IT * greatest_bytes))
    return Want(Need(least, "measured"), alone=True)


def _is_final(after: list[str]) -> bool:
    """Return whether the lines after an out-of-memory report no other failure."""
    for line in after:
        if _CHAINED.match(line):
            return True
        if _RAISED.match(line) and not _WRAPPER.match(line):
            return False
    return True


def _last(pattern: re.Pattern[str], text: str) -> int:
    found = list(pattern.finditer(text))
    if not found:
        return 0
    groups = [group for group in found[-1].groups() if group is not None]
    return int(float(groups[0]) * _UNITS[groups[1][0].lower()])
