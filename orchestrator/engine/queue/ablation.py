"""One change at a time: the gate on the baseline, and which changes stay for those after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.analysis import facts_of, joint_facts, shortfall
from orchestrator.analysis.relate import Difference, between_runs, between_seeds
from orchestrator.engine.queue.decisions import Decisions, Ending
from orchestrator.runs import SweepDir, TrialRecord, TrialState
from orchestrator.sweepfile.conditions import parse
from orchestrator.sweepfile.expand import make_change
from orchestrator.sweepfile.model import Spec, TrialConfig

BASELINE = "baseline"
GATE_MISSED = 3
"""Exit code of a sweep whose baseline missed its gate."""


class Changes:
    """Decides what of an ablation may run.

    Args:
        spec: what was asked, with an ablation.
        sweep: the sweep's folder.
        records: its trials by number; read only.
        decisions: where it is written down.
    """

    def __init__(
        self,
        spec: Spec,
        sweep: SweepDir,
        records: Mapping[int, TrialRecord],
        decisions: Decisions,
    ) -> None:
        assert spec.ablate is not None, "the spec must have an ablation"
        self._spec = spec
        self._ablate = spec.ablate
        self._sweep = sweep
        self._records = records
        self._decisions = decisions
        self._many = max(len(spec.seeds), 1)

    def may_start(self, trial: TrialConfig) -> bool:
        """Tell whether a trial that the spec asks for need wait for no other one."""
        if trial.change is None:
            return True
        if self._ablate.gate is not None:
            gate = self._gate_of(BASELINE, self._ablate.gate)
            if gate is None or not gate["held"]:
                return False
        if not self._ablate.keep_improvements:
            return True
        names = list(self._ablate.changes)
        before = names[: names.index(trial.change)]
        return self._through(None) and all(self._is_weighed(name) for name in before)

    def adapted(self, trial: TrialConfig) -> TrialConfig | None:
        """Return a trial on top of the changes that stay; None where a constraint forbids that."""
        if trial.change is None or not self._kept():
            return trial
        made = make_change(self._spec, trial.number, trial.change, self._kept())
        if isinstance(made, TrialConfig):
            return made
        if self._decisions.get("kept", trial.change) is None:
            words = f"change {trial.change}: not run: with what is kept it breaks {made.constraint}"
            self._decisions.note("kept", trial.change, "improvement", words, kept=False)
        return None

    def told(self, trial: TrialConfig) -> dict[str, object]:
        """Return what sets a trial apart from the baseline, for its record."""
        if trial.change is None:
            return {}
        kept = self._kept()
        settings: dict[str, object] = {}
        for name in (*kept, trial.change):
            settings |= self._ablate.changes[name].set
        return {"name": trial.change, "set": settings, **({"kept": kept} if kept else {})}

    def review(self) -> Ending | None:
        """Decide what can be decided now, and return why the sweep ends, if it does."""
        if not self._through(None):
            return None
        if self._ablate.gate is not None:
            gate = self._gate_of(BASELINE, self._ablate.gate)
            if gate is None:
                gate = self._gate(BASELINE, None, self._ablate.gate)
            if not gate["held"]:
                return Ending(str(gate["words"]), exit_code=GATE_MISSED)
        for name, change in self._ablate.changes.items():
            if not self._through(name):
                continue
            held = self._gate_of(name, change.gate)
            if change.gate is not None and held is None:
                held = self._gate(name, name, change.gate)
            if self._ablate.keep_improvements and self._decisions.get("kept", name) is None:
                self._weigh(name, is_fit=held is None or bool(held["held"]))
        return None

    def _is_weighed(self, name: str) -> bool:
        """Tell whether it is known if a change stays; one that constraints leave out does not."""
        if self._decisions.get("kept", name) is not None:
            return True
        return not isinstance(make_change(self._spec, 0, name), TrialConfig)

    def _members(self, change: str | None) -> list[TrialRecord]:
        found = [
            record
            for record in self._records.values()
            if record.origin is None and record.change.get("name") == change
        ]
        return sorted(found, key=lambda record: record.replicate)

    def _through(self, change: str | None) -> bool:
        members = self._members(change)
        ended = all(member.state.is_finished for member in members)
        return len(members) == self._many and ended

    def _kept(self) -> list[str]:
        """Return the changes that stay, in the order in which they were tried."""
        decided = {name: self._decisions.get("kept", name) for name in self._ablate.changes}
        return [name for name, found in decided.items() if found is not None and found["kept"]]

    def _gate_of(self, name: str, gate: str | None) -> dict[str, object] | None:
        """Return what was decided of a gate, where it was the gate that the file has now."""
        decided = self._decisions.get("gates", name)
        return decided if decided is not None and decided.get("condition") == gate else None

    def _gate(self, name: str, change: str | None, gate: str) -> dict[str, object]:
        members = self._members(change)
        known = joint_facts(
            [
                facts_of(member, self._sweep.run_dir(member.number, member.name), self._spec.metric)
                for member in members
            ]
        )
        missed = shortfall(parse(gate), known)
        words = f"gate of {name}: {gate} {f'is missed: {missed}' if missed else 'holds'}"
        return self._decisions.note(
            "gates", name, "gate", words, of=name, condition=gate, held=not missed
        )

    def _weigh(self, name: str, *, is_fit: bool) -> None:
        """Decide whether a change stays: it must gain more than the noise."""
        stay = self._kept()
        against = stay[-1] if stay else None
        label = BASELINE if against is None else against
        found = self._difference(self._members(name), self._members(against)) if is_fit else None
        metric = self._spec.metric
        if not is_fit:
            words, kept = "not kept, since it missed its gate", False
        elif found is None or metric is None:
            words, kept = "not kept, since it or what it is held against has no value", False
        else:
            gain = -found.value if metric.goal == "minimize" else found.value
            half = (found.high - found.low) / 2
            change = f"{metric.name} {'gains' if gain >= 0 else 'loses'} {abs(gain):.4g}"
            if found.is_noise is None:
                words = (
                    f"not kept: {change}, but nothing tells how much is noise. Use seeds, or save "
                    "validation predictions"
                )
                kept = False
            else:
                kept = gain > 0 and not found.is_noise
                noise = f"noise explains {half:.4g} at 95 %, by {found.basis}"
                words = f"{'kept' if kept else 'not kept'}: {change} against {label}; {noise}"
        self._decisions.note("kept", name, "improvement", f"change {name}: {words}", kept=kept)

    def _difference(
        self, ours: Sequence[TrialRecord], theirs: Sequence[TrialRecord]
    ) -> Difference | None:
        values, others = _values(ours), _values(theirs)
        if not values or not others:
            return None
        found = between_seeds(list(values.values()), list(others.values()))
        metric = self._spec.metric
        if found.is_noise is not None or metric is None:
            return found
        one, other = (
            self._sweep.run_dir(number, self._records[number].name).path
            for number in (next(iter(values)), next(iter(others)))
        )
        return between_runs(one, other, metric.name) or found


def _values(records: Sequence[TrialRecord]) -> dict[int, float]:
    return {
        record.number: record.value
        for record in records
        if record.state is TrialState.COMPLETE and record.value is not None
    }
