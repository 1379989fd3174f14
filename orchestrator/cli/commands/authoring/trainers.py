"""List the trainers, or the parameters of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.render.text import clean, number
from orchestrator.cli.render.text_table import Column, draw, fit, terminal_width
from orchestrator.errors import UsageError
from orchestrator.files import plain
from orchestrator.sweepfile import TrainerParameter, TrainerSchema, trainer_names, trainer_schema

_PARAMETER = (
    *("name", "type", "default", "help", "unit", "low", "high", "choices"),
    *("nullable", "alters_loss", "alters_memory", "is_path"),
)
_TYPES = {bool: "true or false", int: "whole number", float: "number", str: "text"}


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str | None, as_json: bool) -> None:
    """List the trainers, or the parameters, presets and metrics of the trainer NAME.

    NAME is a name from the list, or a function of your own as a sweep file names it, such as
    my_package.my_trainer:train. Its module is searched in this folder and the environment.
    """
    if name is not None:
        schema = trainer_schema(name, Path())
        click.echo(json.dumps(to_json(schema), indent=2) if as_json else _one(schema))
        return
    found: list[TrainerSchema] = []
    broken: list[str] = []
    for known in trainer_names():
        try:
            found.append(trainer_schema(known))
        except UsageError as error:
            broken.append(f"{known}: {error}")
    if as_json:
        click.echo(json.dumps([to_json(schema) for schema in found], indent=2))
    else:
        click.echo(_all(found))
    for message in broken:
        click.echo(f"Error: {message}", err=True)
    if broken:
        raise click.exceptions.Exit(2)


def to_json(schema: TrainerSchema) -> dict[str, Any]:
    """Return a trainer's declaration in JSON types."""
    parameters = [
        {
            **{name: getattr(known, name, "") for name in _PARAMETER},
            "type": known.type.__name__,
            "choices": list(known.choices),
        }
        for known in schema.parameters.values()
    ]
    metrics = {
        name: {"goal": metric.goal, "unit": getattr(metric, "unit", ""), "is_loss": metric.is_loss}
        for name, metric in schema.metrics.items()
    }
    declared = {
        "trainer": schema.name,
        "description": schema.description,
        "takes_anything": schema.takes_anything,
        "data_kind": schema.data_kind,
        "default_metric": schema.default_metric,
        "parameters": parameters,
        "presets": {name: dict(values) for name, values in schema.presets.items()},
        "metrics": metrics,
    }
    return dict(plain(declared))


def _all(schemas: list[TrainerSchema]) -> str:
    columns = [
        Column("trainer", [schema.name for schema in schemas]),
        Column("parameters", [str(len(schema.parameters)) for schema in schemas], 1, True),
        Column("presets", [", ".join(schema.presets) for schema in schemas], 1),
        Column("ranked by", [schema.default_metric or "-" for schema in schemas], 1),
        Column("what it is", [clean(schema.description) for schema in schemas], 2),
    ]
    shown, _ = fit(columns, terminal_width())
    return (
        f"{draw(shown)}\n\n"
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
            lines += [
                "",
                "* changes what the loss means, so the loss cannot rank trials.",
            ]
    if schema.metrics:
        lines += ["", _metrics(schema)]
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
            columns.append(Column(preset, cells, 1))
    columns += [
        Column("takes", [_takes(item) for item in known], 1),
        Column("what it is", [clean(getattr(item, "help", "")) for item in known], 2),
    ]
    shown, _ = fit(columns, terminal_width())
    return draw(shown)


def _metrics(schema: TrainerSchema) -> str:
    metrics = schema.metrics.values()
    notes = {name: "a loss" if metric.is_loss else "" for name, metric in schema.metrics.items()}
    if schema.default_metric is not None:
        notes[schema.default_metric] = "ranks by default"
    columns = [
        Column("metric", list(schema.metrics)),
        Column("goal", [str(metric.goal) for metric in metrics]),
        Column("unit", [getattr(metric, "unit", "") for metric in metrics]),
        Column("", list(notes.values())),
    ]
    return draw(columns)


def _value(value: Any) -> str:
    return "null" if value is None else number(value, 6)


def _bound(value: float | None) -> str | None:
    whole = value is not None and value == int(value)
    return None if value is None else str(int(value)) if whole else f"{value:g}"


def _takes(known: TrainerParameter) -> str:
    unit = getattr(known, "unit", "")
    if known.choices:
        text = ", ".join(_value(choice) for choice in known.choices)
    elif known.is_path:
        text = "path"
    else:
        text = _TYPES.get(known.type, known.type.__name__)
        low, high = _bound(known.low), _bound(known.high)
        if low is not None and high is not None:
            text = f"{low} to {high}"
        elif low is not None or high is not None:
            text = f"from {low}" if low is not None else f"up to {high}"
        text += f" {unit}" if unit and (low or high) else f" [{unit}]" if unit else ""
    return f"{text}, or null" if known.nullable else text
