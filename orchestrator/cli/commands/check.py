"""Check sweep files without running anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from orchestrator.errors import SpecError, UsageError
from orchestrator.files import plain
from orchestrator.sweepfile import load_spec
from orchestrator.sweepfile.expand import count_trials, exclusion
from orchestrator.sweepfile.model import Domain, Spec


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the file or a parameter; repeatable.",
)
@click.option("--stage", metavar="NAME", help="The stage that would run; by default as for run.")
@click.option("--quick", is_flag=True, help="Check for the first stage.")
@click.option(
    "--count", type=click.IntRange(min=1), metavar="N", help="Check for at most so many trials."
)
@click.option("--json", "as_json", is_flag=True, help="Print a list of JSON objects.")
@click.pass_context
def command(
    ctx: click.Context,
    files: tuple[Path, ...],
    overrides: tuple[str, ...],
    stage: str | None,
    quick: bool,
    count: int | None,
    as_json: bool,
) -> None:
    """Check sweep files without running anything.

    Prints for each FILE that it is good, or all its mistakes with their lines. The exit code is 0
    where all are good and 2 otherwise. A script that is missing is a warning here.
    """
    asked: dict[str, Any] = {"overrides": overrides, "stage": stage, "quick": quick, "count": count}
    reports = [_report(file, asked) for file in files]
    if as_json:
        rows = [{key: value for key, value in r.items() if key != "lines"} for r in reports]
        click.echo(json.dumps(plain(rows), indent=2))
    else:
        for report in reports:
            click.echo("\n".join(report["lines"]))
    ctx.exit(0 if all(report["ok"] for report in reports) else 2)


def _report(file: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be said about a file, with the lines for people under ``lines``."""
    try:
        spec = load_spec(file, **asked)
    except SpecError as error:
        errors = [{"line": p.line, "key": p.key, "message": p.message} for p in error.problems]
        count = len(errors)
        head = f"{file}: {count} {'mistake' if count == 1 else 'mistakes'}"
        lines = [head, *(f"  {problem}" for problem in error.problems)]
        return _row(file, errors=errors, lines=lines)
    except UsageError as error:
        message = str(error).removeprefix(f"{file}: ")
        errors = [{"line": None, "key": "", "message": message}]
        return _row(file, errors=errors, lines=[f"{file}: 1 mistake", f"  {error}"])
    left_out = exclusion(spec, limit=0).count
    size = _size(spec) + (f", {left_out:,} excluded by constraints" if left_out else "")
    lines = [f"{file}: ok, {size}", *(f"  warning: {text}" for text in spec.warnings)]
    space = {name: _space(domain) for name, domain in spec.parameters.items()}
    known = {"trials": count_trials(spec), "excluded": left_out}
    return _row(file, warnings=list(spec.warnings), space=space, lines=lines, **known)


def _row(file: Path, **known: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"file": str(file), "ok": "errors" not in known}
    row |= {"errors": [], "warnings": [], "space": {}, "trials": None, "excluded": 0}
    return row | known


def _size(spec: Spec) -> str:
    count = count_trials(spec)
    if count is None:
        budget = spec.budget.trials is not None or spec.budget.hours is not None
        why = "its budget ends it" if budget else f"method {spec.method} without run_cap"
        return f"no bound on its trials ({why})"
    return f"{count:,} {'trial' if count == 1 else 'trials'}"


def _space(domain: Domain) -> dict[str, Any]:
    """Return a domain in the words of the file."""
    row: dict[str, Any] = {"distribution": domain.distribution}
    if domain.is_constant:
        row["value"] = domain.values[0]
    elif domain.values:
        row["values"] = list(domain.values)
    if domain.probabilities:
        row["probabilities"] = list(domain.probabilities)
    words = {"min": domain.low, "max": domain.high, "mu": domain.mu, "sigma": domain.sigma}
    words |= {"a": domain.a, "b": domain.b, "q": domain.q}
    row |= {word: value for word, value in words.items() if value is not None}
    return row if domain.when is None else row | {"when": domain.when}
