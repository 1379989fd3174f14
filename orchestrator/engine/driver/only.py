"""``--only``: the trials that are to run, by name or number."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from orchestrator.errors import NotFoundError, nearest
from orchestrator.runs.layout import SweepDir, is_called
from orchestrator.runs.records import TrialRecord, load_trials
from orchestrator.sweepfile.expand.configs import iter_configs
from orchestrator.sweepfile.model.spec import Spec, TrialConfig

# A sweep of more trials than these is not searched to its end for a name.
MOST_SEARCHED = 100_000


def chosen_trials(spec: Spec, only: Iterable[str], folder: SweepDir) -> frozenset[str]:
    """Return the names and numbers of the only trials to run; empty for all.

    Args:
        spec: what is to run.
        only: names, numbers or folder names, as ``--only`` takes them.
        folder: of the sweep, for what bayes has proposed already.

    Raises:
        NotFoundError: one of them is no trial of the sweep.
    """
    wanted = frozenset(only)
    if not wanted:
        return wanted
    # What bayes is to propose has neither number nor name; what it has proposed stands there.
    kept = load_trials(folder)
    followers = [record for record in kept if record.origin is not None]
    known: Iterable[TrialRecord | TrialConfig] = kept
    if spec.method != "bayes":
        known = chain(followers, iter_configs(spec))
    # A named trial that parameters multiply stands for all that they make of it.
    families = wanted & set(spec.trials)
    members: set[str] = set()
    names: list[str] = []
    missing = set(wanted)
    for trial in known:
        family = trial.trial if isinstance(trial, TrialConfig) else None
        if family in families:
            members.add(str(trial.number))
            missing.discard(str(family))
        missing = {text for text in missing if not is_called(text, trial.number, trial.name)}
        names.append(trial.name)
        if not missing and not families:
            return wanted
        if len(names) >= MOST_SEARCHED:
            break
    if not missing:
        return wanted | members
    name = sorted(missing)[0]
    has = f"{', '.join(names[:8])}{' …' if len(names) > 8 else ''}" or "none yet"
    raise NotFoundError(
        f"--only {name}: must be a trial of '{spec.name}', but it has {has}."
        f"{nearest(name, names[:1000])}"
    )
