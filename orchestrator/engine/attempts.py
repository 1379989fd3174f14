"""How an attempt starts: what is written down, who judges it, and what travels to its process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from orchestrator.divergence.policy import LOST
from orchestrator.engine.child.attempt import Attempt
from orchestrator.engine.child.inherit import inherit_checkpoint
from orchestrator.engine.judge import Judge
from orchestrator.engine.remedies import Remedies, course_of
from orchestrator.engine.siblings import Siblings
from orchestrator.engine.under_way import UnderWay, log_size
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.records import TrialRecord, TrialState, now
from orchestrator.search.bands import Bands
from orchestrator.search.studies import Studies
from orchestrator.sweepfile.model.spec import Spec


class Starting:
    """Starts the attempts of one sweep.

    Args:
        spec: what was asked.
        sweep: the sweep's folder.
        studies: its studies.
        remedies: tells the judges what could be answered.
        records: all trials by number; the driver's own mapping, which grows.
        commit: git commit of the code that runs, for the metadata.
    """

    def __init__(
        self,
        spec: Spec,
        sweep: SweepDir,
        studies: Studies,
        remedies: Remedies,
        records: Mapping[int, TrialRecord],
        commit: str | None,
    ) -> None:
        self._spec = spec
        self._sweep = sweep
        self._studies = studies
        self._remedies = remedies
        self._records = records
        self._commit = commit
        metric, rule = spec.metric, spec.early_terminate
        name, goal = (metric.name, metric.goal) if metric is not None else (None, "minimize")
        self._siblings = Siblings(sweep, records.values(), name, goal)
        self._bands = Bands(rule, metric, sweep, records) if rule and metric else None

    def begin(self, record: TrialRecord, attempt_id: str, slot: dict[str, Any]) -> UnderWay:
        """Write down that the next attempt at a trial starts, and return what is known of it.

        Args:
            record: the trial.
            attempt_id: of the attempt.
            slot: its room, as `placement.model.Slot.to_dict` tells it.
        """
        record.attempt += 1
        record.state = TrialState.RUNNING
        record.reason = None
        record.ray_id = attempt_id
        record.slot = slot
        record.started_at, record.ended_at = now(), None
        record.value, record.warnings, record.symptom = None, [], None
        run = self._sweep.run_dir(record.number, record.name)
        self._hand_checkpoint(record, run)
        record.save(run)
        run.stop_file.unlink(missing_ok=True)
        judge = Judge(
            self._spec,
            self._studies.of(record.stage),
            record,
            run,
            bands=self._bands,
            siblings=self._siblings,
            remedies=self._remedies,
        )
        return UnderWay(record, run, judge, log_size(run))

    def attempt(
        self, live: UnderWay, cap_bytes: int | None, gpu_bytes: int | None = None
    ) -> Attempt:
        """Return what travels to the process that runs an attempt.

        Args:
            live: the attempt, which has begun.
            cap_bytes: what it may hold on its GPU; None for no cap.
            gpu_bytes: all that its GPU has; None where that is unknown.
        """
        record, spec = live.record, self._spec
        return Attempt(
            run_path=str(live.run.path.resolve()),
            number=record.number,
            name=record.name,
            attempt=record.attempt,
            config=record.config,
            trainer=spec.trainer,
            program=asdict(spec.program) if spec.program else None,
            slot=record.slot or {},
            cap_bytes=cap_bytes,
            gpu_bytes=gpu_bytes,
            stage=record.stage,
            commit=self._commit,
            folder=str(spec.path.parent),
            from_checkpoint=record.from_checkpoint,
            **course_of(spec, record),
        )

    def _hand_checkpoint(self, record: TrialRecord, run: RunDir) -> None:
        """Give a trial that starts from another's checkpoint that checkpoint, once."""
        if not record.from_checkpoint or record.attempt > 1 or record.origin is None:
            return
        origin = self._records.get(record.origin)
        source = self._sweep.run_dir(origin.number, origin.name) if origin else None
        # What was lost goes on from where it was best, not from where it was lost.
        best = origin is not None and origin.symptom in LOST
        if source is None or not inherit_checkpoint(source, run, best=best):
            text = f"starts from scratch: trial {record.origin} left no checkpoint"
            record.warnings.append(text)
