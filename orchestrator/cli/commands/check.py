"""Check sweep files without running anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from orchestrator.cli import options
from orchestrator.cli.output import print_json
from orchestrator.cli.render.text import plural
from orchestrator.errors import Problem, SpecError, UsageError
from orchestrator.sweepfile import load_spec
from orchestrator.sweepfile.expand import count_trials, exclusion
from orchestrator.sweepfile.model import Domain, Spec


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@options.selection
@options.as_json
@click.pass_context
def command(
    ctx: click.Context, /, *, files: tuple[Path, ...], as_json: bool, **selection: Any
) -> None:
    """Check sweep files without running anything.

    Reports for each FILE that it is valid, or all its mistakes with their lines. The exit code is
    0 if all are valid, else 2.
    """
    checked = [_check(file, selection) for file in files]
    if as_json:
        print_json([row for row, _ in checked])
    else:
        click.echo("\n".join(line for _, lines in checked for line in lines))
    ctx.exit(0 if all(row["ok"] for row, _ in checked) else 2)


def _check(file: Path, selection: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the check of a file as JSON and as text."""
    row: dict[str, Any] = {"file": str(file), "ok": True, "errors": [], "warnings": []}
    row |= {"space": {}, "trials": None, "excluded": 0}
    try:
        spec = load_spec(file, need_program=True, **selection)
        if ":" in f"{spec.pruner}{spec.pruner_options}{spec.sampler}":
            from orchestrator.search import check_classes  # it loads Optuna

            check_classes(spec)
    except SpecError as error:
        return _mistakes(row, error.problems)
    except UsageError as error:
        message = str(error).removeprefix(f"{file}: ")
        return _mistakes(row, [Problem(None, "", message, str(file))])
    excluded = exclusion(spec, limit=0).count
    row["warnings"] = spec.warnings
    row["space"] = {name: _space(domain) for name, domain in spec.parameters.items()}
    row["trials"] = count_trials(spec)
    row["excluded"] = excluded
    size = _size(spec) + (f", {excluded:,} excluded by constraints" if excluded else "")
    return row, [f"{file}: ok, {size}", *(f"  warning: {text}" for text in spec.warnings)]


def _mistakes(row: dict[str, Any], problems: Sequence[Problem]) -> tuple[dict[str, Any], list[str]]:
    row["ok"] = False
    row["errors"] = [{"line": p.line, "key": p.key, "message": p.message} for p in problems]
    head = f"{row['file']}: {plural(len(problems), 'mistake')}"
    return row, [head, *(f"  {problem}" for problem in problems)]


def _size(spec: Spec) -> str:
    count = count_trials(spec)
    if count is not None:
        return plural(count, "trial")
    budget = spec.budget.trials is not None or spec.budget.hours is not None
    why = "its budget ends it" if budget else f"method {spec.method} without run_cap"
    return f"unbounded number of trials ({why})"


def _space(domain: Domain) -> dict[str, Any]:
    """Return a domain with the keys of the sweep file."""
    row: dict[str, Any] = {"distribution": domain.distribution}
    if domain.is_constant:
        row["value"] = domain.values[0]
    elif domain.values:
        row["values"] = domain.values
    if domain.probabilities:
        row["probabilities"] = domain.probabilities
    row |= {"min": domain.low, "max": domain.high, "mu": domain.mu, "sigma": domain.sigma}
    row |= {"a": domain.a, "b": domain.b, "q": domain.q, "when": domain.when}
    return {key: value for key, value in row.items() if value is not None or key == "value"}
