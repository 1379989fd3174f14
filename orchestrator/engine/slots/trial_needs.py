"""What each trial takes: declared, measured in this sweep, or known from earlier ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.files import MIB
from orchestrator.placement import CPU, Device, Need
from orchestrator.placement.memory_needs import (
    ALL_OF_IT,
    HISTORY_FILE,
    History,
    MemoryKey,
    memory_key,
)
from orchestrator.sweepfile import TrainerSchema, resolve, trainer_schema
from orchestrator.sweepfile.expand import iter_configs
from orchestrator.sweepfile.model import Program, Spec

HEADROOM = 1.05
"""What a trial is given, as a multiple of its measured peak: runs differ a little."""

_MOST_CACHED = 4096
_LOOKED_AT = 256

Kind = tuple[str, int]
"""A model of GPUs: its name and memory. Trials take the same on all of a kind."""


def kinds_of(devices: Sequence[Device]) -> dict[Kind, Device]:
    """Return one device of each kind."""
    return {(device.name, device.total_bytes): device for device in devices}


class TrialNeeds:
    """The memory of a sweep's trials, as far as it is known, by model of GPU.

    Args:
        on_cpu: whether trials run on CPUs.
        history: what earlier sweeps measured.
        believes_less: whether trials ask for what was measured even if more is declared, as in a
            sweep that tries out how many run at once: people declare generously, and its trials are
            measured before others join them.
    """

    def __init__(
        self,
        spec: Spec,
        history: History | None,
        *,
        on_cpu: bool,
        believes_less: bool = False,
    ) -> None:
        self.believes_less = believes_less
        self._spec = spec
        self._history = history
        self._schema: TrainerSchema | None = None
        if spec.trainer is not None:
            with suppress(UsageError):  # an unreadable trainer declares nothing about memory
                self._schema = trainer_schema(spec.trainer, spec.path.parent)
        parameters = {} if self._schema is None else self._schema.parameters
        # If a trainer marks none, names and types decide, as for a program (`memory_key`).
        self._alters = {name for name, each in parameters.items() if each.alters_memory} or None
        # What is declared is memory of a GPU.
        self._declared = Need() if on_cpu else Need.declared(spec.resources.gpu_memory_bytes)
        self.declared_bytes = self._declared.memory_bytes or 0
        self._earlier: dict[str, int] = {}
        self._measured: dict[Kind, dict[str, int]] = {}
        self._of_trial: dict[int, Need] = {}
        self._least: dict[str, Need] = {}
        self._keys: dict[tuple[int, Kind], MemoryKey] = {}

    def of(self, number: int | None, config: Mapping[str, Any], devices: Sequence[Device]) -> Need:
        """Return what a trial asks for on some devices; its number is None if it has none yet.

        What it took on GPUs of another model does not count, except after an out-of-memory.
        """
        if number is not None and number in self._of_trial:
            return self._of_trial[number]
        kinds = kinds_of(devices)
        keys = {kind: self._key_of(number, config, kind, kinds[kind]) for kind in kinds}
        raised = [self._least[key.digest] for key in keys.values() if key.digest in self._least]
        if raised:
            return max(raised, key=lambda need: need.memory_bytes or 0)
        seen = max(
            (self._measured.get(kind, {}).get(keys[kind].digest, 0) for kind in kinds), default=0
        )
        known = 0
        if self._is_settled(config):
            known = max(map(self._known_earlier, keys.values()), default=0)
        declared, found = self.declared_bytes, max(seen, known)
        if declared and found <= declared:
            less = self.with_headroom(found, devices) if found and self.believes_less else declared
            if less >= declared:
                return self._declared
        if seen and seen == found:
            return Need(self.with_headroom(found, devices), "measured")
        if known:
            # Its first steps may take less than what all of such a trial once took.
            return Need(self.with_headroom(found, devices), "history")
        peaks = [peak for kind in kinds for peak in self._measured.get(kind, {}).values()]
        if number is None and peaks:
            # What the study will propose may take as much as any that it has proposed.
            return Need(self.with_headroom(max(peaks), devices), "measured")
        return Need()

    def with_headroom(self, peak_bytes: int, devices: Sequence[Device]) -> int:
        """Return what to give a trial whose peak was measured on such devices, in whole MiB.

        A trial that nearly fills a card gets no headroom, or no card could hold it again.
        """
        most = int(ALL_OF_IT * max((device.total_bytes for device in devices), default=0))
        wanted = min(math.ceil(peak_bytes * HEADROOM), most)
        return math.ceil(max(peak_bytes, wanted) / MIB) * MIB

    def measured(self, config: Mapping[str, Any], device: Device, peak_bytes: int) -> None:
        """Note the peak of a trial that has come through its first steps."""
        [(kind, _)] = kinds_of([device]).items()
        digest, there = self._key(config, device).digest, self._measured.setdefault(kind, {})
        there[digest] = max(peak_bytes, there.get(digest, 0))

    def keep(self, config: Mapping[str, Any], device: Device, peak_bytes: int) -> None:
        """Keep a peak for later sweeps."""
        if self._history is not None:
            self._history.record(self._key(config, device), peak_bytes)

    def raised(
        self, number: int, config: Mapping[str, Any], need: Need, devices: Sequence[Device]
    ) -> None:
        """Note what a trial asks for after an out-of-memory.

        Others like it ask for as much on such devices.
        """
        self._of_trial[number] = need
        for kind, device in kinds_of(devices).items():
            key = self._key_of(number, config, kind, device)
            before = self._least.get(key.digest, Need()).memory_bytes
            if before is None or before < (need.memory_bytes or 0):
                self._least[key.digest] = need

    def growth_key(self, config: Mapping[str, Any], device: Device, cores: int) -> MemoryKey:
        """Return the key of the best number of such trials at once on a device."""
        if device.id == CPU:
            device = replace(device, name=f"{cores} cores")
        return self._key(config, device)

    def _is_settled(self, config: Mapping[str, Any]) -> bool:
        """Return whether every value that may alter the memory is known."""
        return not any(
            name not in config and (self._alters is None or name in self._alters)
            for name in self._spec.parameters
        )

    def _known_earlier(self, key: MemoryKey) -> int:
        """Return what such a trial took in an earlier sweep, read once; 0 if unknown."""
        if key.digest not in self._earlier:
            need = None if self._history is None else self._history.lookup(key)
            self._earlier[key.digest] = (need.memory_bytes or 0) if need else 0
        return self._earlier[key.digest]

    def _key_of(
        self, number: int | None, config: Mapping[str, Any], kind: Kind, device: Device
    ) -> MemoryKey:
        if number is None:
            return self._key(config, device)
        if (number, kind) not in self._keys:
            if len(self._keys) >= _MOST_CACHED:
                self._keys.clear()
            self._keys[number, kind] = self._key(config, device)
        return self._keys[number, kind]

    def _key(self, config: Mapping[str, Any], device: Device) -> MemoryKey:
        program = self._spec.program
        runner = (self._spec.trainer or "") if program is None else _runner(program)
        if self._schema is not None:
            config = resolve(self._schema, dict(config))
        return memory_key(runner, config, device, alters=self._alters)


def _runner(program: Program) -> str:
    """Return what distinguishes a program from others: its command line, if it has one."""
    steps = " && ".join(" ".join(step.command) for step in program.steps)
    return steps or " ".join(program.command) or program.path


def known_need(spec: Spec, devices: Sequence[Device], results: Path) -> Need:
    """Return what trials of a spec took in the sweeps of a folder; unknown if any trial's is."""
    if spec.method == "bayes":
        return Need()  # nobody knows how its trials will differ
    # The caller compares it with what is declared.
    on_cpu = any(device.id == CPU for device in devices)
    history = History(results / HISTORY_FILE)
    needs = TrialNeeds(spec, history, on_cpu=on_cpu, believes_less=True)
    found = [
        needs.of(trial.number, trial.config, devices)
        for trial in islice(iter_configs(spec), _LOOKED_AT)
    ]
    if not found or any(need.memory_bytes is None for need in found):
        return Need()
    return max(found, key=lambda need: need.memory_bytes or 0)
