"""The values that placement works with. Sizes are in bytes; MiB are for display."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from orchestrator.files import to_mib

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
        pid: as the driver counts, which inside a container differs from the container's count.
        memory_bytes: None if the driver does not report it.
        computes: True for CUDA; False if it only draws (a desktop).
    """

    pid: int
    memory_bytes: int | None = None
    computes: bool = True


@dataclass(frozen=True)
class Device:
    """A snapshot of a GPU, a MIG instance of one, or the host's memory.

    Attributes:
        id: its index in PCI bus order, as ``nvidia-smi`` and ``--gpus`` count; a MIG instance is
            ``<index of its GPU>:<its own>``; the host's memory is ``cpu``.
        name: display name ("NVIDIA GeForce RTX 3090").
        node: its machine; "" for this one.
        uuid: its permanent name ("GPU-..." or "MIG-..."); "" if the driver does not report it.
        processes: who holds memory there; None if the driver does not report it.
        utilisation: percent of the last moments in which something computed there; None if the
            driver does not report it, as for MIG instances.
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
            text = self.name or "the host"
        else:
            text = f"GPU {self.id} ({self.name})" if self.name else f"GPU {self.id}"
        return f"{text} of {self.node}" if self.node else text

    @property
    def used_bytes(self) -> int:
        """Memory that was not free."""
        return self.total_bytes - self.free_bytes

    @property
    def is_instance(self) -> bool:
        """True for a MIG instance; a process can use only one of these."""
        return ":" in self.id

    @property
    def key(self) -> str:
        """A name that is unique among all machines of a sweep and the same for every process."""
        return self.uuid or (f"{self.node}/{self.id}" if self.node else self.id)


@dataclass(frozen=True)
class Host:
    """The CPU side of a machine.

    Attributes:
        cores: cores that this process may use.
        free_bytes: RAM that is free for trials.
        total_bytes: all RAM (of the container, if it has a limit).
        idle_cores: how many of the cores others leave idle; None if it was not measured.
        node: its name among the machines of a cluster; "" for this one.
    """

    cores: int
    free_bytes: int
    total_bytes: int
    idle_cores: float | None = None
    node: str = ""

    def device(self) -> Device:
        """Return the host's memory as a device, so that the same code watches both."""
        return Device(CPU, "the host's memory", self.total_bytes, self.free_bytes, self.node)


@dataclass(frozen=True)
class Need:
    """Memory that one trial takes on each of its devices; None if unknown."""

    memory_bytes: int | None = None
    source: NeedSource = "unknown"

    @classmethod
    def declared(cls, memory_bytes: int | None) -> Self:
        """Return the need that the sweep file declares; unknown if it declares none."""
        return cls() if memory_bytes is None else cls(memory_bytes, "declared")


@dataclass(frozen=True)
class Policy:
    """Limits of a plan other than memory.

    Attributes:
        max_parallel: greatest number of trials at once (``--max-parallel``); None for no limit.
        gpus_per_trial: 0 keeps trials on the CPU.
        cpus_per_trial: cores that a trial asks for, including its loader's workers; None lets the
            plan share them out.
        workers_per_trial: processes that load a trial's data, each of which takes a core.
        placement: ``parallel`` starts all trials that fit into memory without measuring whether
            that is faster, ``sequential`` one after another, ``grow`` measures on CPUs too, and
            even if all trials fit.
        share: ``polite`` runs at most one trial on a card on which another user computes.
        busy: keys of the devices on which another user computes; empty unless sharing is polite.
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
        node: its machine; "" for this one.
        device: id of the device, ids joined by a comma for several, or ``"cpu"``.
        memory_bytes: what the trial may take on each device.
        threads: CPU threads that the trial may use.
        visible: value of ``CUDA_VISIBLE_DEVICES`` for the trial's process: UUIDs if they are known,
            because CUDA counts devices by speed unless ``CUDA_DEVICE_ORDER`` is ``PCI_BUS_ID``;
            else ids, which are valid under that order only. "" hides all GPUs.
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
class Forecast:
    """Bounds on the time from a sweep's start to its end.

    Attributes:
        source: where `trial_minutes` comes from, for display.
        best_minutes: if trials that run at once do not slow each other down; None for an
            unbounded sweep.
        worst_minutes: if running at once gains nothing; None for an unbounded sweep.
    """

    trial_minutes: float
    source: str
    best_minutes: float | None
    worst_minutes: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the forecast in JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Plan:
    """Where the trials of a sweep run.

    Attributes:
        mode: ``parallel``: all slots start at once; ``sequential``: one on each device starts.
        max_parallel: how many fit into memory at once, which is the number of `slots`.
        n_trials: None if unbounded.
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

    @property
    def on_cpu(self) -> bool:
        """True if trials run on CPUs."""
        return self.slots[0].device == CPU

    def forecast(self, trial_minutes: float, source: str) -> Forecast:
        """Return how long the sweep takes if each trial takes `trial_minutes`.

        In the best case all trials that fit at once run at once.
        """
        if self.n_trials is None:
            return Forecast(trial_minutes, source, None, None)
        rounds = -(-self.n_trials // self.max_parallel)
        return Forecast(
            trial_minutes, source, rounds * trial_minutes, self.n_trials * trial_minutes
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the plan in JSON types, as ``sweep plan --json`` prints it."""
        memory = self.need.memory_bytes
        memory_mib = None if memory is None else to_mib(memory)
        return asdict(self) | {
            "slots": [slot.to_dict() for slot in self.slots],
            "need": {"memory_mib": memory_mib, "source": self.need.source},
        }


def trials_text(n_trials: int | None) -> str:
    """Return ``1 trial``, ``3 trials``, or ``an unbounded number of trials``."""
    if n_trials is None:
        return "an unbounded number of trials"
    return f"{n_trials:,} trial{'' if n_trials == 1 else 's'}"


def limit_text(count: int, room: int, policy: Policy) -> str:
    """Return `` (limited by --max-parallel 2)`` if only that limits `count`, which could be `room`.

    With ``--placement sequential`` that option is named instead.
    """
    if count != policy.max_parallel or count >= room:
        return ""
    if policy.placement == "sequential":
        return " (--placement sequential)"
    return f" (limited by --max-parallel {count})"
