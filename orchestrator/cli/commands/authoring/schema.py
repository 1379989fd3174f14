"""Print the JSON Schema of the sweep file."""

from __future__ import annotations

import json

import click

from orchestrator.sweepfile.schema import json_schema


@click.command()
def command() -> None:
    """Print the JSON Schema of the sweep file.

    Save it and name it in an editor that knows the YAML language server, to get completion and
    help while you write.
    """
    click.echo(json.dumps(json_schema(), indent=2))
