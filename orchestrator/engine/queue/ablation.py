"""One change at a time: the gate on the baseline, and which changes stay for those after them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.analysis import facts_of, joint_facts
from orchestrator.analysis.measure import Difference
from orchestrator.analysis.relate import between_configs
from orchestrator.engine.queue.decisions import Decisions, Ending
from orchestrator.engine.queue.sweep_view import SweepView
from orchestrator.runs import TrialRecord, TrialState
from orchestrator.runs.read import open_run
from orchestrator.sweepfile.conditions import parse, shortfall
from orchestrator.sweepfile.expand import make_change
from orchestrator.sweepfile.model import TrialConfig

BASELINE = "baseline"
GATE_MISSED = 3
"""Exit code of a sweep whose baseline missed its gate."""


class Ablation:
    """Decides what of an ablation may run."""

    def __init__(self, view: SweepView, decisions: Decisions) -> None:
        assert view.spec.ablate is not None, "the spec must have an ablation"
        self._view = view
        self._ablate = view.spec.ablate
        self._decisions = decisions

    def may_start(self, trial: TrialConfig) -> bool:
        """Return whether a trial need not wait for the result of another."""
        if trial.change is None:
            return True
        if self._ablate.gate is not None:
            gate = self._decided_gate(BASELINE, self._ablate.gate)
            if gate is None or not gate["held"]:
                return False
        if not self._ablate.keep_improvements:
            return True
        names = list(self._ablate.changes)
        before = names[: names.index(trial.change)]
        return self._has_ended(None) and all(self._is_weighed(name) for name in before)

    def adapted(self, trial: TrialConfig) -> TrialConfig | None:
        """Return a trial on top of the changes that stay; None if a constraint forbids that."""
        if trial.change is None or not self._kept():
            return trial
        made = make_change(self._view.spec, trial.number, trial.change, self._kept())
        if isinstance(made, TrialConfig):
            return made
        if self._decisions.get("kept", trial.change) is None:
            text = f"change {trial.change}: not run: with what is kept it breaks {made.constraint}"
            self._decisions.note("kept", trial.change, text, kept=False)
        return None

    def change_of(self, trial: TrialConfig) -> dict[str, Any]:
        """Return how a trial differs from the baseline, for its record."""
        if trial.change is None:
            return {}
        kept = self._kept()
        settings: dict[str, Any] = {}
        for name in (*kept, trial.change):
            settings |= self._ablate.changes[name].set
        return {"name": trial.change, "set": settings, **({"kept": kept} if kept else {})}

    def review(self) -> Ending | None:
        """Decide what can be decided now, and return why the sweep ends, if it does."""
        if not self._has_ended(None):
            return None
        if self._ablate.gate is not None:
            gate = self._gate(BASELINE, None, self._ablate.gate)
            if not gate["held"]:
                return Ending(str(gate["words"]), exit_code=GATE_MISSED)
        for name, change in self._ablate.changes.items():
            if not self._has_ended(name):
                continue
            passed = change.gate is None or bool(self._gate(name, name, change.gate)["held"])
            if self._ablate.keep_improvements and self._decisions.get("kept", name) is None:
                self._weigh(name, passed=passed)
        return None

    def _is_weighed(self, name: str) -> bool:
        """Return whether it is known if a change stays; constraints may leave one out."""
        if self._decisions.get("kept", name) is not None:
            return True
        return not isinstance(make_change(self._view.spec, 0, name), TrialConfig)

    def _members(self, change: str | None) -> list[TrialRecord]:
        found = [
            record
            for record in self._view.records.values()
            if record.origin is None and record.change.get("name") == change
        ]
        return sorted(found, key=lambda record: record.replicate)

    def _has_ended(self, change: str | None) -> bool:
        members = self._members(change)
        ended = all(member.state.is_finished for member in members)
        return len(members) == self._view.seeds and ended

    def _kept(self) -> list[str]:
        """Return the changes that stay, in the order in which they were tried."""
        decided = {name: self._decisions.get("kept", name) for name in self._ablate.changes}
        return [name for name, found in decided.items() if found is not None and found["kept"]]

    def _decided_gate(self, name: str, gate: str) -> dict[str, Any] | None:
        """Return the decision about a gate, if it is about the gate that the file has now."""
        decided = self._decisions.get("gates", name)
        return decided if decided is not None and decided.get("condition") == gate else None

    def _gate(self, name: str, change: str | None, gate: str) -> dict[str, Any]:
        """Return the decision about a gate, made now if there is none yet."""
        decided = self._decided_gate(name, gate)
        if decided is not None:
            return decided
        metrics = self._view.spec.metrics
        members = self._members(change)
        known = joint_facts([facts_of(one, self._view.run_dir(one), metrics) for one in members])
        missed = shortfall(parse(gate), known.values, known.at)
        text = f"gate of {name}: {gate} {f'is missed: {missed}' if missed else 'holds'}"
        return self._decisions.note("gates", name, text, of=name, condition=gate, held=not missed)

    def _weigh(self, name: str, *, passed: bool) -> None:
        """Decide whether a change stays: it must gain more than the noise."""
        stay = self._kept()
        against = stay[-1] if stay else None
        text, kept = "not kept, since it missed its gate", False
        if passed:
            found = self._difference(self._members(name), self._members(against))
            text, kept = self._verdict(found, BASELINE if against is None else against)
        self._decisions.note("kept", name, f"change {name}: {text}", kept=kept)

    def _verdict(self, found: Difference | None, against: str) -> tuple[str, bool]:
        """Return what a change gains over another config, as text, and whether it stays."""
        metric = self._view.spec.metric
        if found is None or metric is None:
            return "not kept, since it or what it is compared with has no value", False
        gain = -found.value if metric.goal == "minimize" else found.value
        change = f"{metric.name} {'gains' if gain >= 0 else 'loses'} {abs(gain):.4g}"
        if found.is_noise is None:
            return (
                f"not kept: {change}, but the noise is unknown. Use seeds, or save "
                "validation predictions"
            ), False
        kept = gain > 0 and not found.is_noise
        half = (found.high - found.low) / 2
        noise = f"noise explains {half:.4g} at 95 %, by {found.basis}"
        return f"{'kept' if kept else 'not kept'}: {change} against {against}; {noise}", kept

    def _difference(
        self, ours: Sequence[TrialRecord], theirs: Sequence[TrialRecord]
    ) -> Difference | None:
        values, others = _values(ours), _values(theirs)
        if not values or not others:
            return None
        metric = self._view.spec.metric
        if metric is None:
            return None
        one, other = (
            [
                (open_run(self._view.run_dir(self._view.records[number]).path), value)
                for number, value in known.items()
            ]
            for known in (values, others)
        )
        return between_configs(one, other, metric.name)


def _values(records: Sequence[TrialRecord]) -> dict[int, float]:
    return {
        record.number: record.value
        for record in records
        if record.state is TrialState.COMPLETE and record.value is not None
    }
