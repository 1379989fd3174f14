"""Show the GPUs, and whether trials fit into the free memory."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from orchestrator.cli import options
from orchestrator.cli.output import mute
from orchestrator.cli.render.text import LONGEST_CELL, Column, clean, draw, fit, numbers, plural
from orchestrator.errors import SweepError
from orchestrator.files import format_size, parse_size, to_mib
from orchestrator.placement import Device, fit as memory_fit, model
from orchestrator.placement.hardware import survey
from orchestrator.placement.leases import Leases

WRONG_USAGE = 64
"""Exit code of every error (EX_USAGE of sysexits), because 0 to 3 are verdicts here."""

_PROCESSES_SHOWN = 3


@contextmanager
def _no_verdict() -> Iterator[None]:
    """Print every error and exit with the code of wrong usage."""
    try:
        yield
        return
    except (click.exceptions.Exit, click.Abort):
        raise
    except click.ClickException as error:
        error.show()
    except SweepError as error:
        click.echo(f"Error: {error}", err=True)
    except Exception:
        traceback.print_exc()
    raise click.exceptions.Exit(WRONG_USAGE)


class _Command(click.Command):
    """A command whose errors, expected or not, never look like one of its verdicts."""

    make_context = _no_verdict()(click.Command.make_context)
    invoke = _no_verdict()(click.Command.invoke)


def _size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_size(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("gpu", cls=_Command)
@click.option("--need", callback=_size, metavar="SIZE", help="Memory of one trial, e.g. 8GB.")
@click.option("--trials", **options.NUMBER, help="Number of trials. [default: 1]")
@click.option(
    "--address", metavar="HOST:PORT", help="Show those of the Ray cluster there; or auto."
)
@options.as_json
@click.pass_context
def command(
    ctx: click.Context, *, need: int | None, trials: int | None, address: str | None, as_json: bool
) -> None:
    """Show the GPUs of this machine, and whether trials fit into their free memory.

    With --need the exit code is the verdict. 0: all trials fit at once. 1: tight, all would fit if
    each took five sixths of that. 2: use sequential. 3: there is no GPU, or none holds one trial.
    Several GPUs count together; memory promised to trials of running sweeps is not free. Without
    --need it is 0, or 3 if there is no GPU. Wrong usage is 64.
    """
    if trials is not None and need is None:
        raise click.UsageError("--trials needs --need SIZE, the memory of one trial.", ctx)
    if address is None:
        devices, note = survey()
        left = Leases().remaining(devices)
    else:  # where the agents have subtracted what sweeps have promised
        views, note = options.cluster_views(address), ""
        devices = left = [device for view in views for device in view.devices]
    promised = {
        device.key: device.free_bytes - after.free_bytes
        for device, after in zip(devices, left, strict=True)
    }
    reasons = [note] if note else []
    if total := sum(promised.values()):
        reasons.append(f"running sweeps have promised {format_size(total)} of the free memory")
    verdict = None
    if need is not None:
        verdict = memory_fit.judge(left, need, trials or 1, "; ".join(reasons))
    lines: list[str] = []
    if as_json:
        content = {
            "devices": [_device_json(device, promised[device.key]) for device in devices],
            "note": note,
            "verdict": None if verdict is None else verdict.to_dict(),
        }
        lines = [json.dumps(content, indent=2)]
    elif devices:
        kept, hidden = fit(_columns(devices, promised))
        lines.append(draw(kept))
        lines += [f"{plural(hidden, 'more column')}: --json"] if hidden else []
        lines += [f"Note: {clean(note)}"] if note else []
        lines += ["", clean(verdict.reason)] if verdict is not None else []
    elif verdict is not None:
        lines.append(clean(verdict.reason))
    else:
        place = "this machine" if address is None else f"the {plural(len(views), 'node')} there"
        lines.append(f"No GPU to use on {place}{f' ({clean(note)})' if note else ''}.")
    try:
        click.echo("\n".join(lines))
    except BrokenPipeError:
        # A reader that stops early still gets the verdict.
        mute()
    if verdict is not None:
        ctx.exit(verdict.code)
    ctx.exit(0 if devices else memory_fit.NONE_FITS)


def _device_json(device: Device, promised: int) -> dict[str, Any]:
    def process_json(process: model.Process) -> dict[str, Any]:
        memory = None if process.memory_bytes is None else to_mib(process.memory_bytes)
        return {"pid": process.pid, "memory_mib": memory, "computes": process.computes}

    found = device.processes
    return {
        "id": device.id,
        **({"node": device.node} if device.node else {}),
        "name": device.name,
        "uuid": device.uuid,
        "total_mib": to_mib(device.total_bytes),
        "free_mib": to_mib(device.free_bytes),
        "used_mib": to_mib(device.used_bytes),
        "claimed_mib": to_mib(promised),
        "utilisation": device.utilisation,
        "processes": None if found is None else [process_json(process) for process in found],
    }


def _columns(devices: Sequence[Device], promised: Mapping[str, int]) -> list[Column]:
    def sizes(title: str, value: Callable[[Device], int]) -> Column:
        return numbers(title, [format_size(value(device)) for device in devices])

    busy = ["-" if d.utilisation is None else f"{d.utilisation}%" for d in devices]
    columns = [
        *([Column("node", nodes)] if any(nodes := [clean(d.node) for d in devices]) else []),
        Column("GPU", [device.id for device in devices]),
        Column("name", [clean(device.name, LONGEST_CELL) or "-" for device in devices]),
        sizes("total", lambda d: d.total_bytes),
        sizes("used", lambda d: d.used_bytes),
        sizes("free", lambda d: d.free_bytes),
    ]
    if any(promised.values()):
        columns.append(sizes("promised", lambda d: promised[d.key]))
    return [
        *columns,
        numbers("busy", busy, 1),
        Column("processes", [_processes(device.processes) for device in devices], 2),
        Column("UUID", [clean(device.uuid) or "-" for device in devices], 3),
    ]


def _processes(found: Sequence[model.Process] | None) -> str:
    """Return the processes that hold memory, the largest first."""
    if not found:
        return "unknown" if found is None else "none"
    texts = []
    for one in sorted(found, key=lambda process: -(process.memory_bytes or 0)):
        memory = "" if one.memory_bytes is None else f" ({format_size(one.memory_bytes)})"
        texts.append(f"{one.pid}{memory}")
    more = len(texts) - _PROCESSES_SHOWN
    return ", ".join(texts[:_PROCESSES_SHOWN]) + (f" and {more} more" if more > 0 else "")
