"""Rank runs by metrics recomputed from their predictions."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.errors import UsageError
from orchestrator.files import atomic
from orchestrator.metrics import resolve_kind
from orchestrator.runs import results_folder

if TYPE_CHECKING:
    from orchestrator.analysis.table import Comparison


@click.command("compare")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--sort-by", metavar="METRIC", help="The metric that ranks. [default: validation]")
@click.option("--top", metavar="N", type=click.IntRange(min=1), help="Show only the best N.")
@click.option("--metrics", metavar="KIND", help="What arrays of other tools are, such as `edc`.")
@click.option("--rate", metavar="HZ", type=float, help="Samples per second of those arrays.")
@click.option("--export", type=click.Choice(["csv", "md", "json"]), help="Write another format.")
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Export into FILE."
)
@click.option("--json", "as_json", is_flag=True, help="The same as --export json.")
@click.option("--runs", "single", is_flag=True, help="Give each seed of a config its own row.")
@click.option("--all", "everything", is_flag=True, help="Show all columns and incomplete runs.")
def command(
    *,
    paths: tuple[Path, ...],
    sort_by: str | None,
    top: int | None,
    metrics: str | None,
    rate: float | None,
    export: str | None,
    output: Path | None,
    as_json: bool,
    single: bool,
    everything: bool,
) -> None:
    """Rank the runs under PATH (by default results/) by what they predicted.

    A run is any folder with predictions.npy and targets.npy, whichever tool wrote it. Metrics are
    recomputed: mae, rmse and r2, for decay curves also edt, t20 and c50 with _mae, _rmse and _r2;
    val_ before a name means the validation arrays, by which runs are ranked where they have them.
    """
    if as_json and export not in (None, "json"):
        raise UsageError(f"--json: must stand alone, but --export {export} is given too. Drop one.")
    form = "json" if as_json else export
    if output is not None and form is None:
        form = _form_of(output)
    kind, data = _meaning(metrics, rate)

    from orchestrator.analysis.table import compare

    comparison = compare(
        list(paths) or [results_folder()],
        sort_by=sort_by,
        top=top,
        kind=kind,
        data=data,
        single=single,
        on_progress=_progress(),
    )
    if form is None:
        from orchestrator.cli.render.comparison import render_comparison

        if not comparison.n_total:
            places = ", ".join(str(path) for path in paths) or str(results_folder())
            click.echo(
                f"{places}: no runs found. A run is a folder with predictions.npy and "
                "targets.npy; `sweep run FILE` makes some."
            )
            return
        click.echo(render_comparison(comparison, everything=everything))
        return

    from orchestrator.analysis.table import to_csv, to_json

    if form == "json":
        text = to_json(comparison)
    elif form == "csv":
        text = to_csv(comparison)
    else:
        from orchestrator.cli.render.comparison import render_markdown

        text = render_markdown(comparison)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text)
        click.echo(f"wrote {output}", err=True)
    if form == "csv":
        from orchestrator.cli.render.comparison import heading

        # A CSV has no place for these, and they must not be lost.
        for note in (heading(comparison), *comparison.notes, *_not_in_it(comparison)):
            click.echo(note, err=True)


def _not_in_it(comparison: Comparison) -> list[str]:
    count = len(comparison.incomplete)
    if not count:
        return []
    which = "1 incomplete run is" if count == 1 else f"{count} incomplete runs are"
    return [f"{which} not in the CSV: --json and --export md list them."]


def _meaning(metrics: str | None, rate: float | None) -> tuple[str | None, dict[str, Any]]:
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise UsageError(f"--rate: must be above 0 samples per second, but got {rate:g}.")
    data = {} if rate is None else {"rate_hz": rate}
    if metrics is None and rate is not None:
        raise UsageError(
            f"--rate: must come with --metrics, but is alone: {rate:g}. "
            "Say what the arrays are, as `--metrics edc`."
        )
    if metrics is None:
        return None, data

    kind = resolve_kind(metrics)
    if kind == "decay_curve" and rate is None:
        raise UsageError(
            f"--rate: must be given with --metrics {metrics}, but is missing. "
            "Add the samples per second of the curves, as `--rate 48000`."
        )
    return kind, data


def _form_of(output: Path) -> str:
    form = output.suffix.removeprefix(".").lower()
    if form not in ("csv", "md", "json"):
        raise UsageError(
            f"--output: must end in .csv, .md or .json, but got {output}. "
            "Name the format with --export."
        )
    return form


def _write(output: Path, text: str) -> None:
    try:
        atomic.write_text(output, text)
    except OSError as error:
        raise UsageError(
            f"--output: {output} must be writable, but: {error.strerror}. Choose another file."
        ) from None


def _progress() -> Any:
    if not sys.stderr.isatty():
        return None
    started = shown = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal shown
        moment = time.monotonic()
        # Silent where the answer comes at once; the line is wiped before the table.
        if done == total and shown > started:
            click.echo("\r\x1b[K", nl=False, err=True)
        elif moment - started > 1 and moment - shown > 0.2:
            shown = moment
            click.echo(f"\rreading runs: {done}/{total}", nl=False, err=True)

    return tell
