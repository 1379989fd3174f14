"""Errors that a user can act on; everything else is a bug and keeps its traceback.

::

    SweepError                  exit code 1   something the user should read
    ├── UsageError              exit code 2   wrong usage, or something refused before it started
    │   ├── SpecError           exit code 2   the sweep file has mistakes: correct the listed lines
    │   ├── NotFoundError       exit code 2   no such sweep, trial or folder: choose a listed one
    │   ├── PlacementError      exit code 2   no device holds one trial: free memory or ask for less
    │   ├── BusyError           exit code 2   another process runs this sweep: wait or stop it
    │   └── ChangedSpecError    exit code 2   the sweep has run with another spec: --new
    ├── WaitTimeoutError        exit code 3   --wait-timeout expired: the same command continues
    └── TrialError              exit code 1   a trial failed: read its log

A message reads *where: what is wrong (what was found). What to do.*
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class SweepError(Exception):
    """Base of all errors that are shown as one message without a traceback."""

    exit_code = 1


class UsageError(SweepError):
    """Wrong usage, or something refused before anything started."""

    exit_code = 2


class NotFoundError(UsageError):
    """A sweep, trial or folder that does not exist."""


class PlacementError(UsageError):
    """No device can hold even one trial."""


class BusyError(UsageError):
    """Another process holds the sweep or the run directory."""


class ChangedSpecError(UsageError):
    """A sweep of that name has run with a different spec."""


class WaitTimeoutError(SweepError):
    """Memory that others hold was not freed within ``--wait-timeout``."""

    exit_code = 3


class TrialError(SweepError):
    """A trial failed; the message names its log."""


@dataclass(frozen=True)
class Problem:
    """One mistake in a sweep file.

    Attributes:
        line: from 1; None if it has none (a ``--set`` value, a default).
        key: dotted path, as ``parameters.lr.min``.
        origin: file name, or ``--set``.
    """

    line: int | None
    key: str
    message: str
    origin: str = ""

    def __str__(self) -> str:
        place = self.origin if self.line is None else f"{self.origin}:{self.line}"
        return ": ".join(part for part in (place, self.key, self.message) if part)


class SpecError(UsageError):
    """A sweep file with mistakes, all of them together in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the choice nearest to `name`, or an empty string.

    A choice that only shares letters with the name is not offered: it must be one slip of the
    keyboard away, begin with the same letter, or have the same words.
    """
    known = list(choices)
    close = difflib.get_close_matches(name, known, n=5, cutoff=0.6)
    same = [choice for choice in known if _words(choice) == _words(name)]
    found = [choice for choice in (*same, *close) if choice in same or _is_slip(name, choice)]
    return f" Did you mean '{found[0]}'?" if found else ""


def _is_slip(name: str, choice: str) -> bool:
    """Return whether a name may be meant as a choice that shares most of its letters."""
    from rapidfuzz.distance import OSA

    first, second = name.lower(), choice.lower()
    return (
        (first[:1] == second[:1] and OSA.normalized_similarity(first, second) >= 0.6)
        or first in second
        or second in first
        or bool(_words(name) & _words(choice))
        or OSA.distance(first, second) <= 1
    )


def _words(name: str) -> frozenset[str]:
    """Return the words of a name, in any case and order: ``learningRate`` has two."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return frozenset(re.findall(r"[^\W_]+", spaced.lower()))
