"""Opening a sweep for one of several drivers: the first prepares its folder, the others join."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from optuna.storages import BaseStorage

from orchestrator.engine.driver.drivers import Drivers, refuse_local_locks, scope_of
from orchestrator.engine.driver.opening import (
    alone_in,
    folder_for,
    make_folder,
    prepare,
    refuse_other_spec,
)
from orchestrator.engine.driver.shared_conductor import SharedConductor
from orchestrator.engine.queue.decisions import is_timed
from orchestrator.engine.queue.sweep_view import SweepLog
from orchestrator.engine.slots.allocator import SlotAllocator
from orchestrator.errors import UsageError
from orchestrator.files import lock
from orchestrator.runs import SweepDir, SweepRecord, TrialRecord, load_trials
from orchestrator.search import Database, Studies
from orchestrator.sweepfile.model import Spec

FOLDER = "folder"
"""The value of ``--join`` with which drivers share the journal in the sweep's folder."""


@dataclass(frozen=True)
class Joined:
    """A sweep that this driver shares with others; its turn lasts until the conductor is made.

    Attributes:
        is_first: no other driver runs the sweep.
    """

    drivers: Drivers
    is_first: bool
    _storage: Path | BaseStorage
    _study_name: str

    def conductor(
        self,
        spec: Spec,
        log: SweepLog,
        slots: SlotAllocator,
        *,
        records: Mapping[int, TrialRecord],
        state: SweepRecord,
    ) -> SharedConductor:
        """Return the conductor of this driver, and let others have their turn."""
        is_shared = not self.is_first
        studies = Studies(self._storage, self._study_name, spec, is_shared=is_shared)
        known = records if self.is_first else {}
        made = SharedConductor(
            spec, log, slots, self.drivers, records=known, state=state, studies=studies
        )
        self.drivers.leave()
        return made


@contextmanager
def join_sweep(
    spec: Spec, results: Path, where: str
) -> Iterator[tuple[SweepDir, dict[int, TrialRecord], Joined]]:
    """Share the folder of `spec` under `results` with all who do; the first one prepares it.

    Args:
        where: `FOLDER`, or the URL of a database that contains studies and locks.

    Yields:
        The folder, the trials that it holds already, and what is shared.

    Raises:
        ChangedSpecError: the folder holds a sweep of another spec.
        BusyError: a driver runs the sweep that does not share it.
        UsageError: the sweep cannot be shared, or the database cannot be used.
    """
    _refuse_what_cannot_be_shared(spec)
    folder = folder_for(spec, results, new=False)
    make_folder(folder)
    with ExitStack() as stack:
        database = None
        if where == FOLDER:
            refuse_local_locks(folder.path)
        else:
            database = Database(where, scope_of(folder))
            stack.callback(database.close)
            stack.enter_context(database.watched())
        drivers = Drivers(folder, database)
        stack.callback(drivers.close)
        drivers.enter()
        is_first = drivers.join()
        if is_first:
            with alone_in(folder):
                records = prepare(spec, folder)
        else:
            refuse_other_spec(spec, folder)
            records = {record.number: record for record in load_trials(folder)}
        stack.enter_context(lock.share(folder.lock_file, holder=f"the sweep '{folder.name}'"))
        storage = folder.study_file if database is None else database.storage()
        name = folder.name if database is None else scope_of(folder)
        yield folder, records, Joined(drivers, is_first, storage, name)


def _refuse_what_cannot_be_shared(spec: Spec) -> None:
    """Raise `UsageError` for what one driver must decide with all ends of trials in its order."""
    program = spec.program
    found = {
        "ablate": spec.ablate is not None,
        "stages (run one with --stage)": spec.stage is None and bool(spec.stages),
        "remedy": bool(spec.remedy),
        "budget.hours and budget.gpu_hours": is_timed(spec),
        "outputs, whose folders of two drivers cannot be told apart, without copies": (
            program is not None and program.outputs is not None and not program.copies
        ),
    }
    if named := [name for name, is_there in found.items() if is_there]:
        raise UsageError(
            f"{spec.path.name}: several drivers cannot share a sweep with {'; '.join(named)}. "
            "Run it without --join."
        )
