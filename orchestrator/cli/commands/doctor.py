"""Diagnose runs, also those of other tools, and advise what to change."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import click

from orchestrator.analysis import Asked, Examination, Examined, examine, shown_series
from orchestrator.cli.commands.logs import find_trial
from orchestrator.cli.render.bundle import write_bundle
from orchestrator.cli.render.curves import plot, write_picture
from orchestrator.cli.render.text_table import (
    Column,
    clean,
    draw,
    number,
    short_path,
    terminal_width,
)
from orchestrator.divergence.diagnosis import Finding
from orchestrator.divergence.schedule import from_words
from orchestrator.errors import NotFoundError, UsageError
from orchestrator.files import plain
from orchestrator.runs import find_sweep, results_folder

_NARROWEST = 40
_WIDEST = 100


@click.command("doctor")
@click.argument("what", metavar="[TRIAL | SWEEP | FILE]", required=False)
@click.option("--sweep", metavar="NAME", help="The sweep of TRIAL. [default: the newest]")
@click.option(
    "--results", metavar="DIR", type=click.Path(path_type=Path), help="Where sweeps are kept."
)
@click.option("--metric", metavar="NAME", help="The metric that ranks. [default: the sweep's]")
@click.option("--goal", type=click.Choice(["minimize", "maximize"]), help="Which way it is better.")
@click.option("--target", metavar="VALUE", type=float, help="The value that it should reach.")
@click.option(
    "--schedule",
    metavar="WORDS",
    help="The configured learning rate, as `cosine,lr=0.001,total=50,per=epoch`.",
)
@click.option("--pattern", metavar="REGEX", help="What finds numbers in a text log.")
@click.option(
    "--png",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Also draw the curves into a picture (needs matplotlib).",
)
@click.option(
    "--bundle",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Also pack diagnosis, logs and configs into a ZIP file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--md", "as_markdown", is_flag=True, help="Print Markdown.")
def command(
    *,
    what: str | None,
    sweep: str | None,
    results: Path | None,
    metric: str | None,
    goal: str | None,
    target: float | None,
    schedule: str | None,
    pattern: str | None,
    png: Path | None,
    bundle: Path | None,
    as_json: bool,
    as_markdown: bool,
) -> None:
    """Say what is wrong with runs, since when, and what to change.

    Takes a trial (number or name), a sweep, or a log of any tool: CSV (Lightning, Keras, YOLO),
    JSON lines, Hugging Face's trainer_state.json, TensorBoard event files, text. Without an
    argument the newest sweep is meant.
    """
    if as_json and as_markdown:
        raise UsageError("--json: must stand alone, but --md is given too. Drop one.")
    asked = Asked(metric, goal, target, from_words(schedule) if schedule else None, pattern)
    found = examine(_place(what, sweep, results), asked)
    if as_json:
        click.echo(json.dumps(plain(found.to_dict()), indent=2))
    elif as_markdown:
        click.echo(markdown(found))
    else:
        click.echo(words(found, max(_NARROWEST, min(terminal_width(), _WIDEST))))
    if png is not None:
        drawn = write_picture(png, found)
        click.echo(f"{png}: {drawn} of {len(found.runs)} runs", err=True)
    if bundle is not None:
        count = write_bundle(bundle, found, markdown(found))
        click.echo(f"{bundle}: {count} files", err=True)


def _place(what: str | None, sweep: str | None, results: Path | None) -> Path:
    """Return the path that the user means: a file or folder first, then a sweep, then a trial."""
    if what is not None and sweep is None and Path(what).exists():
        return Path(what)
    folder = results_folder(results)
    if what is None:
        return find_sweep(folder, sweep).path
    if sweep is None and "/" in what:
        raise NotFoundError(f"{what}: no such file or folder. Name a log, a run folder or a sweep.")
    if sweep is None:
        try:
            return find_sweep(folder, what).path
        except NotFoundError:
            if not _any_sweep(folder):
                raise
    of = find_sweep(folder, sweep)
    record = find_trial(of, what)
    return of.run_dir(record.number, record.name).path


def _any_sweep(folder: Path) -> bool:
    try:
        find_sweep(folder)
    except NotFoundError:
        return False
    return True


def title_of(one: Examined) -> str:
    """Return what a run is called in a heading."""
    run = one.run
    name = clean(run.name)
    return f"trial {run.number} ({name})" if run.number is not None else name


def verdict_of(one: Examined) -> str:
    """Return the outcome of a run in a few words."""
    found = one.diagnosis
    if found.judged is None:
        return "not judged: no training loss, metric or validation loss is in the log"
    seen = [finding.symptom for finding in _symptoms(one)]
    if found.is_lost:
        first = found.findings[0]
        since = "" if first.since is None else f" since {one.run.unit} {first.since}"
        return f"diverged, {first.symptom}{since}"
    if found.outcome == "target reached":
        return "target reached" + (f"; also {', '.join(seen)}" if seen else "")
    return f"{found.outcome}: {', '.join(dict.fromkeys(seen))}" if seen else found.outcome


def words(found: Examination, width: int) -> str:
    """Return the examination for a terminal of `width` characters."""
    blocks = []
    if len(found.runs) > 1:
        blocks.append(_table(found))
    telling = [one for one in found.runs if _symptoms(one) or len(found.runs) == 1]
    blocks += [_run_words(one, width) for one in telling]
    if found.together:
        lines = [_wrapped(text, width, "  ") for text in found.together]
        blocks.append("\n".join(["The runs together", *lines]))
    return "\n\n".join(blocks)


def _symptoms(one: Examined) -> list[Finding]:
    """Return what is wrong with a run; a target that is reached is not."""
    return [f for f in one.diagnosis.findings if f.symptom != "target reached"]


def _table(found: Examination) -> str:
    runs = found.runs
    columns = [
        Column("run", [clean(title_of(one), 40) for one in runs]),
        Column("reports", [str(len(one.run.reports)) for one in runs], is_number=True),
        Column("judged", [clean(one.diagnosis.judged or "-", 24) for one in runs]),
        Column("first", [number(one.diagnosis.first) for one in runs], is_number=True),
        Column("best", [number(one.diagnosis.best) for one in runs], is_number=True),
        Column("last", [number(one.diagnosis.last) for one in runs], is_number=True),
        Column("diagnosis", [clean(verdict_of(one), 60) for one in runs]),
    ]
    return draw(columns)


def _run_words(one: Examined, width: int) -> str:
    run, found = one.run, one.diagnosis
    lines = [f"{title_of(one)}: {verdict_of(one)}"]
    lines.append(f"  {clean(short_path(run.path))} ({run.form}, {len(run.reports)} reports)")
    lines += [f"  note: {clean(note)}" for note in run.notes]
    if found.judged is not None:
        lines.append(
            f"  {clean(found.judged)}: first {number(found.first)}, best {number(found.best)} "
            f"at {run.unit} {number(found.best_step)}, last {number(found.last)}"
        )
    if found.rates:
        rates = found.rates
        lines.append(
            f"  lr: first {number(rates['first'])}, peak {number(rates['peak'])}, "
            f"last {number(rates['last'])}"
        )
    if found.saved:
        lines.append(f"  {found.saved} of {len(run.reports)} reports came after it was lost")
    seen = _symptoms(one)
    onset = seen[0].since if seen else None
    drawn = plot(
        [(clean(name, 24), points) for name, points in shown_series(one)],
        width=min(64, width - 20),
        onset=onset,
    )
    if drawn:
        lines += ["", textwrap.indent(drawn, "  ")]
    for finding in found.findings:
        lines += ["", *_finding_words(finding, run.unit, width)]
    return "\n".join(lines)


def _finding_words(finding: Finding, unit: str, width: int) -> list[str]:
    since = "" if finding.since is None else f", since {unit} {finding.since}"
    advice = finding.advice
    lines = [f"  {finding.symptom} ({finding.confidence}){since}"]
    for label, texts in (
        ("seen", (finding.reason,)),
        ("cause", (advice.cause,)),
        ("change", advice.change),
        ("do not", tuple(text.removeprefix("do not ") for text in advice.avoid)),
    ):
        for index, text in enumerate(texts):
            head = f"    {label if index == 0 else '':<8}"
            lines.append(_wrapped(clean(text), width, head, " " * len(head)))
    return lines


def _wrapped(text: str, width: int, first: str, rest: str | None = None) -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def markdown(found: Examination) -> str:
    """Return the examination as Markdown."""
    parts = ["# Diagnosis"]
    for one in found.runs:
        run, diagnosis = one.run, one.diagnosis
        parts.append(f"## {_safe(title_of(one))}: {_safe(verdict_of(one))}")
        facts = [f"- log: `{clean(short_path(run.path))}` ({run.form}, {len(run.reports)} reports)"]
        if diagnosis.judged is not None:
            facts.append(
                f"- {_safe(diagnosis.judged)}: first {number(diagnosis.first)}, best "
                f"{number(diagnosis.best)} at {run.unit} {number(diagnosis.best_step)}, last "
                f"{number(diagnosis.last)}"
            )
        if diagnosis.rates:
            rates = ", ".join(f"{name} {number(v)}" for name, v in diagnosis.rates.items())
            facts.append(f"- learning rate: {rates}")
        parts.append("\n".join(facts))
        for finding in diagnosis.findings:
            advice = finding.advice
            lines = [
                f"### {finding.symptom} ({finding.confidence})",
                "",
                f"- seen: {_safe(finding.reason)}",
                f"- likely cause: {_safe(advice.cause)}",
                *(f"- change: {_safe(text)}" for text in advice.change),
                *(f"- {_safe(text)}" for text in advice.avoid),
            ]
            parts.append("\n".join(lines))
    if found.together:
        parts.append("## The runs together")
        parts.append("\n".join(f"- {_safe(text)}" for text in found.together))
    return "\n\n".join(parts)


def _safe(text: str) -> str:
    return clean(text).replace("|", "\\|").replace("_", "\\_").replace("*", "\\*")
