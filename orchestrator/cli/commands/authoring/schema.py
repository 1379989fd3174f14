"""Print the JSON Schema of the sweep file."""

from __future__ import annotations

import click

from orchestrator.cli.output import print_json
from orchestrator.sweepfile.schema import json_schema


@click.command()
def command() -> None:
    """Print the JSON Schema of the sweep file.

    An editor with the YAML language server uses it for completion and help while you write.
    """
    print_json(json_schema())
