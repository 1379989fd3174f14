"""Steps that go back: the run was started again into the same log."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.divergence.symptom import (
    Advice,
    Detector,
    Observation,
    RunFacts,
    Symptom,
    Verdict,
)


class Restart(Detector):
    """Find a step that is lower than the one before; a repeated step is no restart."""

    def __init__(self) -> None:
        self._last: int | None = None

    def feed(self, seen: Observation) -> Iterator[Verdict]:
        """Process one report; yield a note if the log starts again."""
        last, self._last = self._last, seen.step
        if last is not None and seen.step < last:
            reason = f"the log starts again: step {seen.step} comes after step {last}"
            numbers = {"before": float(last), "after": float(seen.step)}
            yield Verdict("warn", "restart", seen.step, reason, numbers)


def _advise(found: Verdict, facts: RunFacts) -> Advice:
    return Advice(
        "the run was started again, or several runs wrote into one log",
        ("check that optimizer and schedule were restored too", "give each run its own log"),
        ("do not read the curve across the restart",),
    )


SYMPTOM = Symptom("restart", "warn", "sure", _advise, Restart)
