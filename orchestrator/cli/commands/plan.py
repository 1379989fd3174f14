"""Show the trials and where they would run, without starting anything."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import click

from orchestrator.analysis.status import complete_durations
from orchestrator.cli.options import where_trials_run
from orchestrator.cli.render.plan_text import (
    course_lines,
    excluded_json,
    excluded_lines,
    notes,
    words,
)
from orchestrator.cli.render.text_table import (
    LONGEST_CELL,
    Column,
    clean,
    differing,
    draw,
    fit,
    number,
    short_path,
    terminal_width,
)
from orchestrator.engine.slots import known_need
from orchestrator.errors import UsageError
from orchestrator.files import atomic, format_duration, format_size, plain
from orchestrator.placement import Plan, Slot, decide, model, policy_of
from orchestrator.placement.hardware import hypothetical
from orchestrator.runs import SweepDir, results_folder
from orchestrator.sweepfile import differences, load_spec
from orchestrator.sweepfile.expand import at_first, iter_configs, make_config
from orchestrator.sweepfile.model import Domain, Spec, TrialConfig

SHOWN = 20
CHOSEN_LATER = "Each config is chosen when its trial starts, from the results of those before it."


@click.command("plan")
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--gpu",
    "cards",
    multiple=True,
    metavar="SIZE[:NAME]",
    help='Plan for such a card, all of it free, as 16GB or 24GB:"RTX 3090". Repeatable.',
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one value.")
@click.option(
    "--stage", help="Plan this stage; without it the first where one promotes, otherwise the last."
)
@click.option("--quick", is_flag=True, help="Plan the first stage.")
@click.option(
    "--count", type=click.IntRange(min=1), metavar="N", help="Plan for at most so many trials."
)
@where_trials_run
@click.option(
    "--trial-minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="How long one trial takes. [default: as complete trials of this sweep took]",
)
@click.option("--results", type=click.Path(path_type=Path), help="Folder for what sweeps write.")
@click.option("--json", "as_json", is_flag=True, help="Print the placement as JSON.")
@click.option("--configs", is_flag=True, help="Print the configs instead, one JSON object a line.")
@click.option("--argv", is_flag=True, help="Print what starts each program, one JSON list a line.")
@click.option(
    "--limit", type=click.IntRange(min=0), help="Print at most so many trials. [default: 20; all]"
)
def command(
    *,
    spec: Path,
    cards: tuple[str, ...],
    overrides: tuple[str, ...],
    stage: str | None,
    quick: bool,
    count: int | None,
    max_parallel: int | None,
    gpus: str | None,
    placement: model.Placement,
    share: model.Share,
    trial_minutes: float | None,
    results: Path | None,
    as_json: bool,
    configs: bool,
    argv: bool,
    limit: int | None,
) -> None:
    """Show the trials of the sweep file SPEC and where they would run; start nothing.

    How many run at once is decided from the memory that is free now on the GPUs of this machine,
    or from the cards that --gpu describes. How long it would take is known where trials of this
    sweep are complete, or --trial-minutes says it.
    """
    forms = {"--json": as_json, "--configs": configs, "--argv": argv}
    chosen = [name for name, is_given in forms.items() if is_given]
    if len(chosen) > 1:
        others = " and ".join(chosen[1:])
        raise UsageError(f"{chosen[0]}: must stand alone, but {others} is given too. Choose one.")
    asked = load_spec(spec, overrides=overrides, stage=stage, quick=quick, count=count)
    for warning in asked.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if configs or argv:
        _print_lines(asked, argv, limit)
        return
    devices = hypothetical(cards) if cards else None
    folder = results_folder(results)
    decided = decide(
        asked,
        policy_of(asked, max_parallel, placement, share),
        devices=devices,
        gpus=gpus,
        known=partial(known_need, asked, results=folder),
    )
    expected = _forecast(asked, decided, trial_minutes, folder)
    if as_json:
        duration = None if expected is None else expected.to_dict()
        more = {"duration": duration, "excluded": excluded_json(asked)}
        click.echo(json.dumps(plain(decided.to_dict() | more), indent=2))
        return
    trials = [*_trials(asked, decided, limit), *excluded_lines(asked)]
    lines = [*_header(asked, decided), "", *trials, ""]
    click.echo("\n".join([*lines, *_placement(decided), *_duration(decided, expected)]))


def _forecast(
    spec: Spec, decided: Plan, trial_minutes: float | None, results: Path
) -> model.Forecast | None:
    """Return how long the sweep would take; None where nobody knows about its trials."""
    if trial_minutes is not None:
        if not math.isfinite(trial_minutes):
            raise UsageError(f"--trial-minutes: must be a number, but got {trial_minutes}.")
        return decided.forecast(trial_minutes, "--trial-minutes")
    sweep = SweepDir(results / spec.name)
    before = atomic.read_json(sweep.spec_file)
    if before is None or differences(before, spec.to_dict()):
        return None  # what ran there was something else
    took = complete_durations(sweep, at_first(spec).stage, on_cpu=decided.on_cpu)
    if not took:
        return None
    many = f"{len(took)} complete trial{'' if len(took) == 1 else 's'}"
    source = f"mean of {many} in {short_path(sweep.path)}"
    return decided.forecast(sum(took) / len(took) / 60, source)


def _print_lines(spec: Spec, argv: bool, limit: int | None) -> None:
    """Print each trial's config, or what starts its program, as JSON."""
    program = spec.program if argv else None
    if argv and program is None:
        raise UsageError("--argv: must be for a sweep with a program, but this one has none.")
    if spec.method == "bayes":
        click.echo("\n".join([*_space(spec), CHOSEN_LATER]))
        return
    # Not click.echo, which flushes each line: there may be millions.
    for trial in islice(iter_configs(spec), limit):
        shown = plain(trial.config) if program is None else words(program, trial)
        sys.stdout.write(json.dumps(shown) + "\n")


def _header(spec: Spec, decided: Plan) -> list[str]:
    count = "unbounded" if decided.n_trials is None else f"{decided.n_trials:,}"
    lines = [f"sweep      {clean(spec.name)}"]
    if spec.description:
        lines.append(f"           {clean(spec.description)}")
    if spec.program is not None:
        lines.append(f"program    {clean(spec.program.path)}")
    else:
        lines.append(f"trainer    {clean(spec.trainer or '-')}")
    lines.append(f"method     {spec.method}")
    lines.append(f"trials     {count}")
    lines += course_lines(spec)
    if spec.metric is not None:
        lines.append(f"metric     {clean(spec.metric.name)} ({spec.metric.goal})")
    return lines


def _trials(spec: Spec, decided: Plan, limit: int | None) -> list[str]:
    if spec.method == "bayes":
        return [*_space(spec), CHOSEN_LATER]
    shown = list(islice(iter_configs(spec), SHOWN if limit is None else limit))
    lines = _table(shown) + _expectations(spec, shown)
    if decided.n_trials is None:
        ends = spec.budget.trials is not None or spec.budget.hours is not None
        lines.append(f"… and so on, {'until the budget ends it' if ends else 'without end'}")
    elif decided.n_trials > len(shown):
        lines.append(f"… and {decided.n_trials - len(shown):,} more")
    return lines


def _table(trials: list[TrialConfig]) -> list[str]:
    if not trials:
        return []
    columns = [
        Column("#", [str(trial.number) for trial in trials], is_number=True),
        Column("trial", [clean(trial.name, LONGEST_CELL) for trial in trials]),
    ]
    # What varies further down is not the same for all, though the first trials share it.
    varied = [name for trial in trials for name in trial.varied]
    names = list(dict.fromkeys([*varied, *differing([trial.config for trial in trials])]))
    columns += [
        Column(clean(name), [_cell(trial.config, name) for trial in trials], 1, is_number=True)
        for name in names
    ]
    kept, hidden = fit(columns, terminal_width())
    lines = draw(kept).splitlines()
    if hidden:
        lines.append(f"{hidden} more parameters differ: see them with --configs")
    common = {name: value for name, value in trials[0].config.items() if name not in names}
    if common:
        what = "all of these" if len(trials) > 1 else "with"
        values = ", ".join(f"{name}={number(value, 6)}" for name, value in common.items())
        lines.append(f"{what}: {values}")
    return lines


def _cell(config: dict[str, Any], name: str) -> str:
    return clean(number(config[name], 6), LONGEST_CELL) if name in config else "-"


def _expectations(spec: Spec, shown: list[TrialConfig]) -> list[str]:
    """Return what the writer of the file noted beside the named trials that are shown."""
    lines = []
    for name in dict.fromkeys(trial.trial for trial in shown if trial.trial is not None):
        named = spec.trials[name]
        said = [clean(named.note)] if named.note else []
        said += [f"risk: {clean(named.risk)}"] if named.risk else []
        expected = ", ".join(f"{key} {number(value, 6)}" for key, value in named.expect.items())
        said += [f"expects {expected}"] if expected else []
        if said:
            lines.append(f"  {clean(name)}: {'; '.join(said)}")
    return lines + notes(spec, [trial.change for trial in shown if trial.change is not None])


def _space(spec: Spec) -> list[str]:
    """Return what a sampler chooses from, after the values that are fixed."""
    fixed = make_config(replace(spec, trials={}), 0, {}).config
    lines = [f"{clean(name)}: {number(value, 6)}" for name, value in fixed.items()]
    for name, domain in spec.parameters.items():
        if name not in fixed:
            lines.append(f"{clean(name)}: {_domain(domain)}")
    if spec.trials:
        lines.append(f"Named trials take turns: {', '.join(map(clean, spec.trials))}.")
    return lines


def _domain(domain: Domain) -> str:
    if domain.values:
        listed = "one of " + ", ".join(number(value, 6) for value in domain.values)
        likely = ", ".join(number(weight, 6) for weight in domain.probabilities)
        return f"{listed} (probabilities {likely})" if likely else listed
    step = f" in steps of {number(domain.q, 6)}" if domain.q is not None else ""
    shapes = {"mu": domain.mu, "sigma": domain.sigma, "a": domain.a, "b": domain.b}
    bounds = ", ".join(f"{k} {number(v, 6)}" for k, v in shapes.items() if v is not None)
    if domain.low is not None:
        bounds = f"{number(domain.low, 6)} to {number(domain.high, 6)}"
    return f"{bounds}{step} ({domain.distribution})"


def _placement(decided: Plan) -> list[str]:
    at_once = f"{decided.start_parallel} at once"
    if decided.max_parallel > decided.start_parallel:
        at_once = f"starts with {decided.start_parallel}, room for {decided.max_parallel}"
    lines = [f"placement  {decided.mode}: {at_once}", f"           {decided.reason}"]
    for slot in decided.slots[:SHOWN]:
        lines.append(f"slot {slot.index:<5} {_slot_words(slot)}")
    if len(decided.slots) > SHOWN:
        lines.append(f"… and {len(decided.slots) - SHOWN:,} more slots")
    return lines


def _slot_words(slot: Slot) -> str:
    device = slot.device if slot.device == "cpu" else f"GPU {slot.device}"
    threads = f"{slot.threads} thread{'' if slot.threads == 1 else 's'}"
    each = " each" if "," in slot.device else ""
    return f"{device}, {format_size(slot.memory_bytes)}{each}, {threads}"


def _duration(decided: Plan, expected: model.Forecast | None) -> list[str]:
    if expected is None:
        return []
    lines = [f"duration   {_in_words(expected.trial_minutes)} a trial ({clean(expected.source)})"]
    if expected.best_minutes is None or expected.worst_minutes is None:
        return lines
    best, worst = _in_words(expected.best_minutes), _in_words(expected.worst_minutes)
    if decided.max_parallel == 1:
        return [*lines, f"           {worst} in all, one after another"]
    return [
        *lines,
        f"           {best} in the best case: {decided.max_parallel} at once, no interference",
        f"           {worst} in the worst case: no gain from running at once",
    ]


def _in_words(minutes: float) -> str:
    # What takes no second, or not many, is not "0s".
    return format_duration(minutes * 60) if minutes * 60 >= 10 else f"{number(minutes * 60, 2)}s"
