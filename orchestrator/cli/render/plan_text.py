"""The text of `sweep plan`: the sweep, its trials, the placement and the duration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from orchestrator.analysis.chance import SeedNoise, resolution
from orchestrator.cli.render.text import (
    LONGEST_CELL,
    Column,
    assignments,
    clean,
    config_columns,
    differing,
    draw,
    fit,
    number,
    numbers,
    plural,
)
from orchestrator.files import format_duration, format_size
from orchestrator.placement import CPU, Plan, model
from orchestrator.sweepfile.expand import exclusion, iter_configs, make_config, varied_of
from orchestrator.sweepfile.model import Domain, Spec, TrialConfig

SHOWN = 20
_EXAMPLES = 5


def plan_lines(
    spec: Spec,
    plan: Plan,
    expected: model.Forecast | None,
    limit: int | None,
    noise: SeedNoise | None = None,
    *,
    ended: int | None = None,
) -> list[str]:
    """Return the whole plan, with at most `limit` trials (None for 20), of which some `ended`."""
    return [
        *_header(spec, plan),
        "",
        *_trials(spec, plan, SHOWN if limit is None else limit),
        *_excluded(spec),
        *_earlier(ended),
        "",
        *_placement(plan),
        *_duration(plan, expected),
        *_resolution(spec, noise),
    ]


def resolved(spec: Spec, noise: SeedNoise) -> dict[str, float | int | str]:
    """Return which difference of two configs the seeds of a sweep resolve, and from what."""
    n_seeds = len(spec.seeds) or 1
    least = resolution(noise.deviation, n_seeds)
    return {"seeds": n_seeds, "difference": least, **vars(noise)}


def _resolution(spec: Spec, noise: SeedNoise | None) -> list[str]:
    if noise is None or spec.metric is None:
        return []
    found = resolved(spec, noise)
    least, metric = number(found["difference"]), clean(spec.metric.name)
    text = f"{found['seeds']} seeds find a difference of {least} in {metric} in 80 % of cases"
    if found["seeds"] == 1:
        text = f"with one seed, less than {least} between two configs in {metric} may be the seed"
    return _entry(
        "resolution",
        text,
        f"(seeds differed by {number(noise.deviation)} in {plural(noise.n_configs, 'config')} of "
        f"{clean(noise.sweep)})",
    )


def search_space_lines(spec: Spec) -> list[str]:
    """Return the fixed values and the domains that a sampler chooses from."""
    fixed = make_config(replace(spec, trials={}), 0, {}).config
    domains = {name: d for name, d in spec.parameters.items() if name not in fixed}
    lines = [f"{clean(name)}: {number(value, 6)}" for name, value in fixed.items()]
    lines += [f"{clean(name)}: {_domain(domain)}" for name, domain in domains.items()]
    if spec.trials:
        lines.append(f"Named trials alternate: {', '.join(map(clean, spec.trials))}.")
    if spec.start is not None:
        lines += [f"Tried first: {assignments(config)}" for config in spec.start.configs]
        lines += [f"Learns from: {spec.start.source}"] if spec.start.source else []
    return [
        *lines,
        "Each config is chosen when its trial starts, from the results of those before it.",
    ]


def _entry(label: str, *texts: str) -> list[str]:
    """Return `texts` indented below each other, the first after the label; [] if there are none."""
    return [f"{'' if index else label:<11}{text}" for index, text in enumerate(texts)]


def _header(spec: Spec, plan: Plan) -> list[str]:
    metric = spec.metric
    description = [clean(spec.description)] if spec.description else []
    runs = ("trainer", spec.trainer) if spec.program is None else ("program", spec.program.path)
    return [
        *_entry("sweep", clean(spec.name), *description),
        *_entry(runs[0], clean(runs[1] or "-")),
        *_entry("method", spec.method),
        *_entry("trials", "unbounded" if plan.n_trials is None else f"{plan.n_trials:,}"),
        *_stages(spec),
        *_repeats_and_limits(spec),
        *(_entry("metric", f"{clean(metric.name)} ({metric.goal})") if metric else []),
    ]


def _stages(spec: Spec) -> list[str]:
    if spec.stage is not None:
        return _entry("stage", clean(spec.stage))
    texts = []
    for place, stage in enumerate(spec.stages):
        values = f" ({assignments(stage.set)})" if stage.set else ""
        text = f"{clean(stage.name)}{values}"
        if stage.promote is None:
            texts.append(text)
            break
        following = clean(spec.stages[place + 1].name)
        texts.append(f"{text}; to {following}: {clean(stage.promote.in_words())}")
    return _entry("stages", *texts, "shown below: the trials of the first stage") if texts else []


def _repeats_and_limits(spec: Spec) -> list[str]:
    lines = []
    if spec.ablate is not None:
        rule = "; improvements are kept for later changes" if spec.ablate.keep_improvements else ""
        texts = [f"a baseline and {plural(len(spec.ablate.changes), 'change')}{rule}"]
        if spec.ablate.gate is not None:
            texts.append(f"they run only if the baseline has {clean(spec.ablate.gate)}")
        lines += _entry("ablate", *texts)
    if len(spec.seeds) > 1:
        shown = ", ".join(map(str, spec.seeds[:8])) + (", …" if len(spec.seeds) > 8 else "")
        lines += _entry("seeds", f"{shown}: each config {len(spec.seeds)} times")
    budget = spec.budget
    ends = []
    if budget.trials is not None:
        ends.append(plural(budget.trials, "finished trial"))
    if budget.hours is not None:
        ends.append(f"{number(budget.hours, 6)} h")
    if budget.gpu_hours is not None:
        ends.append(f"{number(budget.gpu_hours, 6)} GPU hours")
    if budget.failures is not None:
        ends.append(f"{plural(budget.failures, 'failure')} in a row")
    return lines + (_entry("budget", f"ends after {' or '.join(ends)}") if ends else [])


def _trials(spec: Spec, plan: Plan, limit: int) -> list[str]:
    if spec.method == "bayes":
        return search_space_lines(spec)
    shown = list(islice(iter_configs(spec), limit))
    lines = (_table(shown) if shown else []) + _notes(spec, shown)
    if plan.n_trials is None:
        ends = spec.budget.trials is not None or spec.budget.hours is not None
        lines.append(f"… and so on, {'until the budget ends it' if ends else 'without end'}")
    elif plan.n_trials > len(shown):
        lines.append(f"… and {plan.n_trials - len(shown):,} more")
    return lines


def _table(trials: Sequence[TrialConfig]) -> list[str]:
    configs = [trial.config for trial in trials]
    # Parameters that vary later are not common to all, even if the first trials share them.
    varied = [name for trial in trials for name in trial.varied]
    names = dict.fromkeys([*varied, *differing(configs)], 1)
    columns = [
        numbers("#", [str(trial.number) for trial in trials]),
        Column("trial", [clean(trial.name, LONGEST_CELL) for trial in trials]),
        *config_columns(configs, names),
    ]
    kept, hidden = fit(columns)
    lines = draw(kept).splitlines()
    if hidden:
        lines.append(f"{hidden} more parameters differ: --configs shows them")
    common = {name: value for name, value in configs[0].items() if name not in names}
    if common:
        lines.append(f"{'all of these' if len(trials) > 1 else 'with'}: {assignments(common)}")
    return lines


def _notes(spec: Spec, shown: Sequence[TrialConfig]) -> list[str]:
    """Return the file's notes on the named trials and the changes that are shown."""
    notes: dict[str, list[str]] = {}
    for name in dict.fromkeys(trial.trial for trial in shown if trial.trial is not None):
        named = spec.trials[name]
        expected = ", ".join(f"{key} {number(value, 6)}" for key, value in named.expect.items())
        notes[name] = [clean(named.note)] if named.note else []
        notes[name] += [f"risk: {clean(named.risk)}"] if named.risk else []
        notes[name] += [f"expects {expected}"] if expected else []
    changes = {} if spec.ablate is None else spec.ablate.changes
    for change in dict.fromkeys(trial.change for trial in shown if trial.change is not None):
        if change in changes and changes[change].note:
            notes[change] = [clean(changes[change].note)]
    return [f"  {clean(name)}: {'; '.join(texts)}" for name, texts in notes.items() if texts]


def _domain(domain: Domain) -> str:
    if domain.values:
        listed = "one of " + ", ".join(number(value, 6) for value in domain.values)
        weights = ", ".join(number(weight, 6) for weight in domain.probabilities)
        return f"{listed} (probabilities {weights})" if weights else listed
    step = f" in steps of {number(domain.q, 6)}" if domain.q is not None else ""
    shapes = {"mu": domain.mu, "sigma": domain.sigma, "a": domain.a, "b": domain.b}
    bounds = ", ".join(f"{k} {number(v, 6)}" for k, v in shapes.items() if v is not None)
    if domain.low is not None:
        bounds = f"{number(domain.low, 6)} to {number(domain.high, 6)}"
    return f"{bounds}{step} ({domain.distribution})"


def _excluded(spec: Spec) -> list[str]:
    found = exclusion(spec, _EXAMPLES)
    if not found.count:
        return []
    texts = [f"{found.count:,} by constraints, not among the trials"]
    for item in found.examples:
        parts = (item.trial, assignments(varied_of(spec, item.config)), str(item.constraint))
        texts.append(clean(": ".join(part for part in parts if part)))
    if found.count > len(found.examples):
        texts.append(f"… and {found.count - len(found.examples):,} more")
    return _entry("excluded", *texts)


def _placement(plan: Plan) -> list[str]:
    at_once = f"{plan.start_parallel} at once"
    if plan.max_parallel > plan.start_parallel:
        at_once = f"starts with {plan.start_parallel}, room for {plan.max_parallel}"
    lines = _entry("placement", f"{plan.mode}: {at_once}", plan.reason)
    for slot in plan.slots[:SHOWN]:
        device = slot.device if slot.device == CPU else f"GPU {slot.device}"
        device += f" of {clean(slot.node)}" if slot.node else ""
        memory = format_size(slot.memory_bytes) + (" each" if "," in slot.device else "")
        threads = plural(slot.threads, "thread")
        lines += _entry(f"slot {slot.index}", f"{device}, {memory}, {threads}")
    if len(plan.slots) > SHOWN:
        lines.append(f"… and {len(plan.slots) - SHOWN:,} more slots")
    return lines


def _earlier(ended: int | None) -> list[str]:
    return [f"Kept from an earlier run: {plural(ended, 'trial')}."] if ended else []


def _duration(plan: Plan, expected: model.Forecast | None) -> list[str]:
    if expected is None:
        return []
    texts = [f"{_minutes(expected.trial_minutes)} a trial ({clean(expected.source)})"]
    if expected.best_minutes is not None and expected.worst_minutes is not None:
        best, worst = _minutes(expected.best_minutes), _minutes(expected.worst_minutes)
        if plan.max_parallel == 1:
            texts.append(f"{worst} in total, one after another")
        else:
            at_once = f"{plan.max_parallel} at once, no interference"
            texts.append(f"{best} in the best case: {at_once}")
            texts.append(f"{worst} in the worst case: no gain from running at once")
    return _entry("duration", *texts)


def _minutes(minutes: float) -> str:
    # Short durations need decimals, not "0s".
    return format_duration(minutes * 60) if minutes * 60 >= 10 else f"{number(minutes * 60, 2)}s"
