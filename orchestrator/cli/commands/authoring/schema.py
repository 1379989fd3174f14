"""Print the JSON Schema of the sweep file."""

from __future__ import annotations

import json

import click

from orchestrator.sweepfile.schema import json_schema


@click.command()
def command() -> None:
    """Print the JSON Schema of the sweep file.

    An editor with the YAML language server uses it for completion and help while you write.
    """
    click.echo(json.dumps(json_schema(), indent=2))
