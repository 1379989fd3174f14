"""Parameters that change nothing, found by trials that reported the same to the last digit."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.runs import RunDir, TrialRecord, read_reports

MOST_COMPARED = 200
"""How many trials are compared; a sweep of more has shown enough."""
MOST_BYTES = 1 << 20
"""Size of a log above which only the first two are read: the driver reads them."""

_TIMES = re.compile(r"time|seconds?|sec$|speed|per_s|memory|eta")


@dataclass(frozen=True)
class _Reported:
    """What a trial reported, without its times: how many values, and their digest."""

    number: int
    config: Mapping[str, Any]
    count: int
    digest: bytes


class InertParameters:
    """Compares trials of a user's own program.

    A parameter is suspected if two trials that differ in it alone reported the same, and no such
    two trials ever differed; and all that the first two trials differ in, if they did.
    Trials that differ by their seed alone are not compared: a program need not use chance.

    Args:
        seed: the name of the parameter that holds the seed.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._earlier: list[_Reported] = []
        self._moving: set[str] = set()
        self._is_settled = False  # the first two trials were compared, or one parameter was named
        self._named: set[str] = set()

    def ended(self, record: TrialRecord, run: RunDir) -> list[str]:
        """Take in a complete trial; return warnings."""
        if len(self._earlier) >= MOST_COMPARED or (self._is_settled and _is_long(run)):
            return []
        new = _reported(record, run)
        if new is None:
            return []
        warnings = []
        for earlier in self._earlier:
            differing = self._differing(new, earlier)
            is_same = (new.count, new.digest) == (earlier.count, earlier.digest)
            if not differing:
                continue
            if not is_same:
                self._moving |= differing if len(differing) == 1 else set()
            elif len(differing) == 1 or not self._is_settled:
                suspected = differing - self._moving - self._named
                if suspected == differing:
                    self._named |= suspected
                    warnings.append(_warning(suspected, earlier, new))
            self._is_settled = True
        self._earlier.append(new)
        return warnings

    def _differing(self, one: _Reported, other: _Reported) -> set[str]:
        names = {*one.config, *other.config} - {self._seed}
        return {name for name in names if one.config.get(name) != other.config.get(name)}


def _is_long(run: RunDir) -> bool:
    try:
        return run.metrics_file.stat().st_size > MOST_BYTES
    except OSError:
        return False


def _reported(record: TrialRecord, run: RunDir) -> _Reported | None:
    count, digest = 0, hashlib.blake2b(digest_size=16)
    for step, metrics in read_reports(run):
        values = {name: value for name, value in metrics.items() if not _TIMES.search(name)}
        count += len(values)
        digest.update(repr((step, sorted(values.items()))).encode())
    return _Reported(record.number, record.config, count, digest.digest()) if count else None


def _warning(names: set[str], earlier: _Reported, new: _Reported) -> str:
    shown = ", ".join(sorted(names))
    values = "the same value" if new.count == 1 else f"the same {new.count} values"
    return (
        f"{shown} {'seems' if len(names) == 1 else 'seem'} to change nothing: trials "
        f"{earlier.number} and {new.number} reported {values}. Does the program read {shown}?"
    )
