"""List the trainers, or the parameters of one."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from orchestrator.cli import options
from orchestrator.cli.output import print_json
from orchestrator.cli.render.text import (
    Column,
    clean,
    draw,
    fit,
    number,
    numbers,
    terminal_width,
)
from orchestrator.errors import UsageError
from orchestrator.metrics import Metric, kind_names, known_metrics
from orchestrator.sweepfile import TrainerParameter, TrainerSchema, trainer_names, trainer_schema

_TYPES = {bool: "true or false", int: "whole number", float: "number", str: "text"}


@click.command()
@click.argument("name", required=False)
@options.as_json
def command(name: str | None, as_json: bool) -> None:
    """List the trainers, or the parameters, presets and metrics of the trainer NAME.

    NAME is a name from the list, or a function of your own as a sweep file names it, such as
    my_package.my_trainer:train. Its module is searched in this folder and the environment.
    """
    if name is not None:
        schema = trainer_schema(name, Path())
        if as_json:
            print_json(_to_json(schema))
        else:
            click.echo(_one(schema))
        return
    found = []
    code = 0
    for known in trainer_names():
        try:
            found.append(trainer_schema(known))
        except UsageError as error:
            click.echo(f"Error: {known}: {error}", err=True)
            code = 2
    if as_json:
        print_json([_to_json(schema) for schema in found])
    else:
        click.echo(_all(found))
    raise click.exceptions.Exit(code)


def _to_json(schema: TrainerSchema) -> dict[str, Any]:
    return {
        "trainer": schema.name,
        "description": schema.description,
        "takes_anything": schema.takes_anything,
        "data_kind": schema.data_kind,
        "default_metric": schema.default_metric,
        "parameters": [
            asdict(known) | {"type": known.type.__name__} for known in schema.parameters.values()
        ],
        "presets": schema.presets,
        "metrics": {
            name: {**asdict(metric), "source": record.source, "resampled": record.resampled}
            for (name, metric), record in zip(
                schema.metrics.items(), _records(schema).values(), strict=True
            )
        },
    }


def _records(schema: TrainerSchema) -> dict[str, Metric]:
    """Return what is known of each metric that is also recomputed, by its reported name."""
    kinds = kind_names()
    known = known_metrics(schema.data_kind if schema.data_kind in kinds else None)
    unknown = Metric("", "minimize")
    return {name: known.get(name.removeprefix("val_"), unknown) for name in schema.metrics}


def _all(schemas: list[TrainerSchema]) -> str:
    columns = [
        Column("trainer", [schema.name for schema in schemas]),
        numbers("parameters", [str(len(schema.parameters)) for schema in schemas], 1),
        Column("presets", [", ".join(schema.presets) for schema in schemas], 1),
        Column("ranked by", [schema.default_metric or "-" for schema in schemas], 1),
        Column("what it is", [clean(schema.description) for schema in schemas], 2),
    ]
    return (
        f"{draw(fit(columns)[0])}\n\n"
        "Parameters and metrics: sweep trainers NAME. A first sweep file: sweep init --trainer "
        "NAME.\nA function of your own: sweep trainers my_package.my_trainer:train."
    )


def _one(schema: TrainerSchema) -> str:
    lines = [f"{schema.name}: {clean(schema.description)}" if schema.description else schema.name]
    lines += [f"arrays: {schema.data_kind}"] if schema.data_kind else []
    if schema.takes_anything:
        lines += ["", "It declares no Config: it takes any parameter, and names cannot be checked."]
    elif schema.parameters:
        lines += ["", _parameters(schema)]
        if any(known.alters_loss for known in schema.parameters.values()):
            lines += ["", "* changes what the loss means, so the loss cannot rank trials."]
    if schema.metrics:
        notes = {name: "a loss" if item.is_loss else "" for name, item in schema.metrics.items()}
        if schema.default_metric is not None:
            notes[schema.default_metric] = "ranks by default"
        records = list(_records(schema).values())
        columns = [
            Column("metric", list(schema.metrics)),
            Column("goal", [str(item.goal) for item in schema.metrics.values()]),
            Column("unit", [item.unit for item in schema.metrics.values()]),
            Column("", list(notes.values()), 1),
            Column("source", [item.source for item in records], 2),
            Column("interval from", [item.interval_from for item in records], 1),
        ]
        lines += ["", draw(fit(columns)[0])]
    return "\n".join(lines)


def _parameters(schema: TrainerSchema) -> str:
    known = list(schema.parameters.values())
    columns = [
        Column("parameter", [f"{item.name}{'*' if item.alters_loss else ''}" for item in known]),
        Column("default", [_value(item.default) for item in known]),
    ]
    for preset, values in schema.presets.items():
        cells = [_value(values[item.name]) if item.name in values else "" for item in known]
        if any(cells):
            columns.append(Column(preset, cells))
    columns.append(Column("takes", [_takes(item) for item in known]))
    room = max(40, terminal_width() - sum(column.width + 2 for column in columns))
    texts = [textwrap.wrap(clean(item.help), room) or [""] for item in known]
    rows = zip(*(column.cells for column in columns), strict=True)
    blank = ("",) * len(columns)
    lines = [
        (*(cells if index == 0 else blank), line)
        for cells, text in zip(rows, texts, strict=True)
        for index, line in enumerate(text)
    ]
    titles = [*(column.title for column in columns), "what it is"]
    return draw(list(map(Column, titles, zip(*lines, strict=True))))


def _value(value: Any) -> str:
    return "null" if value is None else number(value, 6)


def _takes(known: TrainerParameter) -> str:
    if known.choices:
        text = ", ".join(_value(choice) for choice in known.choices)
    elif known.is_path:
        text = "path"
    else:
        text = _TYPES.get(known.type, known.type.__name__)
        low, high = known.low, known.high
        if low is not None and high is not None:
            text = f"{_value(low)} to {_value(high)}"
        elif low is not None:
            text = f"from {_value(low)}"
        elif high is not None:
            text = f"up to {_value(high)}"
        if known.unit:
            is_bounded = low is not None or high is not None
            text += f" {known.unit}" if is_bounded else f" [{known.unit}]"
    return f"{text}, or null" if known.nullable else text
