"""The values that placement speaks in. Sizes are bytes; MiB are for display.

The memory that one trial takes, and what the spec says beside it.

Phrases that the reasons of all plans share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.errors import UsageError
from orchestrator.files import to_mib
from orchestrator.sweepfile.model import Resources

NeedSource = Literal["declared", "measured", "history", "unknown"]
Mode = Literal["parallel", "sequential"]
Placement = Literal["auto", "parallel", "sequential", "grow"]
Share = Literal["full", "polite"]

CPU = "cpu"
"""Id of the host's memory among devices, and the device of slots on the CPU."""


@dataclass(frozen=True)
class Process:
    """A process that holds memory of a device.

    Attributes:
        pid: as the driver counts, which in a container is not as the container counts.
        memory_bytes: what it holds; None where the driver does not tell.
        computes: True for CUDA; False for one that only draws (a desktop).
    """

    pid: int
    memory_bytes: int | None = None
    computes: bool = True


@dataclass(frozen=True)
class Device:
    """A device as it was when it was read: a GPU, a MIG instance of one, or the host's memory.

    Attributes:
        id: its index in PCI bus order, as ``nvidia-smi`` and ``--gpus`` count; a MIG instance is
            ``<index of its GPU>:<its own>``; the host's memory is ``cpu``.
        name: for people ("NVIDIA GeForce RTX 3090").
        total_bytes: all its memory.
        free_bytes: what was free.
        node: the machine it is in; "" for this one.
        uuid: its lasting name ("GPU-..." or "MIG-..."); "" where the driver does not tell.
        processes: who holds memory there; None where the driver does not tell.
        utilisation: percent of the last moments in which something computed there; None where
            the driver does not tell, as for MIG instances.
    """

    id: str
    name: str
    total_bytes: int
    free_bytes: int
    node: str = ""
    uuid: str = ""
    processes: tuple[Process, ...] | None = None
    utilisation: int | None = None

    def __str__(self) -> str:
        if self.id == CPU:
            return self.name or "the host"
        return f"GPU {self.id} ({self.name})" if self.name else f"GPU {self.id}"

    @property
    def used_bytes(self) -> int:
        """What was not free."""
        return self.total_bytes - self.free_bytes

    @property
    def is_instance(self) -> bool:
        """True for a MIG instance; a process can use one of these only."""
        return ":" in self.id

    @property
    def key(self) -> str:
        """A name that no two devices of a machine share, the same for all who ask."""
        return self.uuid or self.id


@dataclass(frozen=True)
class Host:
    """The CPU side of a machine.

    Attributes:
        cores: cores that this process may use.
        free_bytes: RAM that is free for trials.
        total_bytes: all RAM (of the container, where there is a limit).
        idle_cores: how many of the cores others leave idle; None where nobody looked.
    """

    cores: int
    free_bytes: int
    total_bytes: int
    idle_cores: float | None = None

    def device(self) -> Device:
        """Return the host's memory as a device, so that one code watches both."""
        return Device(CPU, "the host's memory", self.total_bytes, self.free_bytes)


@dataclass(frozen=True)
class Need:
    """Memory that one trial takes on each of its devices.

    Attributes:
        memory_bytes: None where unknown.
        source: where the number comes from.
    """

    memory_bytes: int | None = None
    source: NeedSource = "unknown"


@dataclass(frozen=True)
class Policy:
    """What limits the plan beside memory.

    Attributes:
        max_parallel: greatest number of trials at once; None for no limit.
        gpus_per_trial: 0 keeps trials on the CPU.
        cpus_per_trial: cores that a trial asks for, its loader's workers counted in; None lets the
            plan share them out.
        workers_per_trial: processes that load its data beside it, each of which takes a core.
        placement: ``parallel`` starts all that memory holds without trying out whether that is
            faster, ``sequential`` one after another, ``grow`` tries out on CPUs too, and where all
            trials fit.
        share: ``polite`` runs at most one trial on a card on which somebody else computes.
        busy: keys of the devices on which somebody else computes, where sharing is polite.
    """

    max_parallel: int | None = None
    gpus_per_trial: int = 1
    cpus_per_trial: int | None = None
    workers_per_trial: int = 0
    placement: Placement = "auto"
    share: Share = "full"
    busy: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Slot:
    """Room for one trial.

    Attributes:
        index: its place in the plan, from 0.
        node: the machine; "" for this one.
        device: id of the device, ids joined by a comma for several, or ``"cpu"``.
        memory_bytes: what the trial may take on each device.
        threads: CPU threads that the trial may use.
        visible: what ``CUDA_VISIBLE_DEVICES`` must be in the trial's process: UUIDs where they are
            known, because CUDA counts devices by speed unless ``CUDA_DEVICE_ORDER`` says
            ``PCI_BUS_ID``; else ids, which hold under that order only. "" hides all GPUs.
    """

    index: int
    node: str
    device: str
    memory_bytes: int
    threads: int
    visible: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the slot in JSON types."""
        return {
            "index": self.index,
            "node": self.node,
            "device": self.device,
            "memory_mib": to_mib(self.memory_bytes),
            "threads": self.threads,
            "visible": self.visible,
        }


@dataclass(frozen=True)
class Plan:
    """Where the trials of a sweep run.

    Attributes:
        mode: ``parallel``: all slots start at once; ``sequential``: one on each device starts.
        start_parallel: how many trials start at once.
        max_parallel: how many memory allows at once.
        slots: the room that there is, `max_parallel` of them.
        n_trials: None where unbounded.
        need: memory of one trial.
        reason: why, in one sentence for people.
    """

    mode: Mode
    start_parallel: int
    max_parallel: int
    slots: tuple[Slot, ...]
    n_trials: int | None
    need: Need
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return the plan in JSON types, as ``sweep plan --json`` prints it."""
        memory = self.need.memory_bytes
        return {
            "mode": self.mode,
            "start_parallel": self.start_parallel,
            "max_parallel": self.max_parallel,
            "slots": [slot.to_dict() for slot in self.slots],
            "n_trials": self.n_trials,
            "need": {
                "memory_mib": None if memory is None else to_mib(memory),
                "source": self.need.source,
            },
            "reason": self.reason,
        }


def declared(resources: Resources) -> Need:
    """Return the need that the spec declares; unknown where it declares none."""
    if resources.gpu_memory_bytes is None:
        return Need()
    return Need(resources.gpu_memory_bytes, "declared")


def policy_of(
    resources: Resources,
    max_parallel: int | None = None,
    *,
    workers: int = 0,
    placement: Placement = "auto",
    share: Share = "full",
) -> Policy:
    """Return what limits the plan beside memory.

    Args:
        resources: of the spec.
        max_parallel: greatest number of trials at once (``--max-parallel``); None for no limit.
        workers: processes that load a trial's data beside it (`loaders.loader_workers`).
        placement: how many run at once (``--placement``).
        share: how a card is shared with others (``--share``).

    Raises:
        UsageError: `max_parallel` is below 1.
    """
    if max_parallel is not None and max_parallel < 1:
        raise UsageError(f"--max-parallel: must be at least 1, but got {max_parallel}.")
    return Policy(
        max_parallel=max_parallel,
        gpus_per_trial=1 if resources.gpus is None else resources.gpus,
        cpus_per_trial=resources.cpus,
        workers_per_trial=workers,
        placement=placement,
        share=share,
    )


def trials_words(n_trials: int | None) -> str:
    """Return ``1 trial``, ``3 trials``, or ``an unbounded number of trials``."""
    if n_trials is None:
        return "an unbounded number of trials"
    return f"{n_trials:,} trial{'' if n_trials == 1 else 's'}"


def limit_words(count: int, room: int, policy: Policy) -> str:
    """Return `` (limited by --max-parallel 2)`` where nothing else holds `count` down.

    Args:
        count: trials that run at once.
        room: trials that would without that limit.
        policy: holds the limit.
    """
    if count != policy.max_parallel or count >= room:
        return ""
    if policy.placement == "sequential":
        return " (--placement sequential)"
    return f" (limited by --max-parallel {count})"
