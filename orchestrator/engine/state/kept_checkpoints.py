"""Delete the checkpoints that the sweep file's ``keep`` does not keep, once nothing needs them."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.engine.queue.sweep_view import SweepView
from orchestrator.runs import TrialRecord, TrialState


class CheckpointKeeper:
    """Deletes checkpoints of trials that have ended, and that no other trial starts from.

    A trial that failed keeps its own, since it may be retried. What waits, runs or may still be
    promoted to a stage that continues keeps its own too, and so does the origin of a trial that has
    yet to start from its checkpoint.

    Args:
        may_be_promoted: returns whether a trial may still start another one from its checkpoint.
    """

    def __init__(self, view: SweepView, may_be_promoted: Callable[[TrialRecord], bool]) -> None:
        self._view = view
        self._keep: dict[str, Any] | None = view.spec.options.get("keep")
        self._may_be_promoted = may_be_promoted
        self._done: set[tuple[int, bool]] = set()  # the trials, and whether as losers

    def clean(self) -> list[tuple[TrialRecord, list[str]]]:
        """Delete what need not be kept; return the trials, each with the names of its files."""
        if self._keep is None:
            return []
        losers = self._losers()
        needed = {
            record.origin
            for record in self._view.records.values()
            if record.origin is not None and not self._has_started(record)
        }
        deleted = []
        for record in list(self._view.records.values()):
            has_lost = record.number in losers
            has_ended = record.state in (TrialState.COMPLETE, TrialState.PRUNED)
            if not has_ended or record.number in needed or self._may_be_promoted(record):
                continue
            if (record.number, has_lost) in self._done:
                continue
            self._done.add((record.number, has_lost))
            names = []
            for path in self._spare(record, has_lost):
                with suppress(OSError):  # the next driver tries again
                    if path.is_dir():
                        shutil.rmtree(path)
                    else:
                        path.unlink()
                    names.append(path.name)
            if names:
                deleted.append((record, names))
        return deleted

    def _has_started(self, follower: TrialRecord) -> bool:
        """Return whether a trial that follows has taken over what it starts from."""
        return follower.state.is_finished or self._view.run_dir(follower).checkpoint_file.exists()

    def _spare(self, record: TrialRecord, has_lost: bool) -> Iterator[Path]:
        """Yield the checkpoints of a trial that are not kept, which exist."""
        assert self._keep is not None
        run, program = self._view.run_dir(record), self._view.spec.program
        if (has_lost or not self._keep.get("best", 1)) and run.best_checkpoint_file.exists():
            yield run.best_checkpoint_file
        if not has_lost and self._keep.get("last", 1):
            return
        if run.checkpoint_file.exists():
            yield run.checkpoint_file
        glob = program.resume.checkpoint if program is not None and program.resume else None
        if glob is not None and not glob.startswith(("/", "~")) and ".." not in Path(glob).parts:
            inside = run.path.resolve()
            for path in sorted(run.path.glob(glob)):
                if not path.is_symlink() and path.resolve().parent.is_relative_to(inside):
                    yield path

    def _losers(self) -> set[int]:
        """Return the ended trials that are not among the best of their stage.

        With seeds, configs are ranked by their means, once all their trials have ended, none of
        them by a failure: a retry may change the mean.
        """
        top, metric = (self._keep or {}).get("of"), self._view.spec.metric
        if top is None or metric is None:
            return set()
        sign = 1.0 if metric.goal == "minimize" else -1.0
        stages: dict[str | None, list[tuple[float, list[int]]]] = {}
        for record in self._view.records.values():
            members = self._view.replicates(record) if not record.replicate else []
            if not members or not all(member.state.is_finished for member in members):
                continue
            if any(member.state is TrialState.FAIL for member in members):
                continue
            values = [
                member.value
                for member in members
                if member.state is TrialState.COMPLETE
                and member.value is not None
                and math.isfinite(member.value)
            ]
            value = sign * sum(values) / len(values) if values else math.inf
            numbers = [member.number for member in members]
            stages.setdefault(record.stage, []).append((value, numbers))
        losers: set[int] = set()
        for ranked in stages.values():
            worst = sorted(value for value, _ in ranked)[:top][-1]
            for value, numbers in ranked:
                if value > worst or value == math.inf:
                    losers.update(numbers)
        return losers
