"""Show the GPUs, and whether trials fit into the free memory."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from orchestrator.cli import options
from orchestrator.cli.output import mute
from orchestrator.cli.render.text import clean, plural
from orchestrator.cli.render.text_table import (
    LONGEST_CELL,
    Column,
    draw,
    fit,
    numbers,
    terminal_width,
)
from orchestrator.errors import SweepError
from orchestrator.files import format_size, parse_size, to_mib
from orchestrator.placement import Device, fit as memory_fit, model
from orchestrator.placement.hardware import survey
from orchestrator.placement.leases import Leases

WRONG_USAGE = 64
"""Exit code of every error (EX_USAGE of sysexits), because 0 to 3 are verdicts here."""

_PROCESSES_SHOWN = 3


class _Command(click.Command):
    """A command whose errors, expected or not, never look like one of its verdicts."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _no_verdict():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _no_verdict():
            return super().invoke(ctx)


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


def _size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_size(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("gpu", cls=_Command)
@click.option("--need", callback=_size, metavar="SIZE", help="Memory of one trial, e.g. 8GB.")
@click.option("--trials", **options.NUMBER, help="Number of trials. [default: 1]")
@options.as_json
@click.pass_context
def command(ctx: click.Context, *, need: int | None, trials: int | None, as_json: bool) -> None:
    """Show the GPUs of this machine, and whether trials fit into their free memory.

    With --need the exit code is the verdict. 0: all trials fit at once. 1: tight, all would fit if
    each took five sixths of that. 2: use sequential. 3: there is no GPU, or none holds one trial.
    Several GPUs count together; memory promised to trials of running sweeps is not free. Without
    --need it is 0, or 3 if there is no GPU. Wrong usage is 64.
    """
    if trials is not None and need is None:
        raise click.UsageError("--trials needs --need SIZE, the memory of one trial.", ctx)
    devices, note = survey()
    left = Leases().remaining(devices)
    claimed = {
        device.key: device.free_bytes - after.free_bytes
        for device, after in zip(devices, left, strict=True)
    }
    promised = sum(claimed.values())
    taken = f"running sweeps have promised {format_size(promised)} of the free memory"
    why = "; ".join(text for text in (note, taken if promised else "") if text)
    verdict = None if need is None else memory_fit.judge(left, need, trials or 1, why)
    if as_json:
        content = {
            "devices": [_as_dict(device, claimed[device.key]) for device in devices],
            "note": note,
            "verdict": None if verdict is None else verdict.to_dict(),
        }
        _print(json.dumps(content, indent=2))
    else:
        _print("\n".join(_lines(devices, claimed, note, verdict)))
    code = (0 if devices else memory_fit.NONE_FITS) if verdict is None else verdict.code
    ctx.exit(code)


def _print(text: str) -> None:
    try:
        click.echo(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # A reader that stops early still gets the verdict.
        mute()


def _as_dict(device: Device, claimed: int) -> dict[str, Any]:
    processes = device.processes
    return {
        "id": device.id,
        "name": device.name,
        "uuid": device.uuid,
        "total_mib": to_mib(device.total_bytes),
        "free_mib": to_mib(device.free_bytes),
        "used_mib": to_mib(device.used_bytes),
        "claimed_mib": to_mib(claimed),
        "utilisation": device.utilisation,
        "processes": None if processes is None else [_process_dict(one) for one in processes],
    }


def _process_dict(process: model.Process) -> dict[str, Any]:
    memory = process.memory_bytes
    memory_mib = None if memory is None else to_mib(memory)
    return {"pid": process.pid, "memory_mib": memory_mib, "computes": process.computes}


def _lines(
    devices: Sequence[Device],
    claimed: Mapping[str, int],
    note: str,
    verdict: memory_fit.Verdict | None,
) -> list[str]:
    lines = []
    if devices:
        kept, hidden = fit(_columns(devices, claimed), terminal_width())
        lines += [draw(kept)]
        lines += [f"{plural(hidden, 'more column')}: --json"] if hidden else []
        lines += [f"Note: {clean(note)}"] if note else []
    elif verdict is None:
        lines += [f"No GPU to use on this machine{f' ({clean(note)})' if note else ''}."]
    if verdict is not None:
        lines += [""] if devices else []
        lines += [clean(verdict.reason)]
    return lines


def _columns(devices: Sequence[Device], claimed: Mapping[str, int]) -> list[Column]:
    def sizes(title: str, value: Callable[[Device], int]) -> Column:
        return numbers(title, [format_size(value(device)) for device in devices])

    busy = ["-" if d.utilisation is None else f"{d.utilisation}%" for d in devices]
    promised = [sizes("promised", lambda d: claimed[d.key])] if any(claimed.values()) else []
    return [
        Column("GPU", [device.id for device in devices]),
        Column("name", [clean(device.name, LONGEST_CELL) or "-" for device in devices]),
        sizes("total", lambda d: d.total_bytes),
        sizes("used", lambda d: d.used_bytes),
        sizes("free", lambda d: d.free_bytes),
        *promised,
        numbers("busy", busy, 1),
        Column("processes", [_processes(device.processes) for device in devices], 2),
        Column("UUID", [clean(device.uuid) or "-" for device in devices], 3),
    ]


def _processes(found: Sequence[model.Process] | None) -> str:
    """Return the processes that hold memory, the largest first."""
    if not found:
        return "unknown" if found is None else "none"
    ordered = sorted(found, key=lambda process: -(process.memory_bytes or 0))
    texts = [
        f"{one.pid}{'' if one.memory_bytes is None else f' ({format_size(one.memory_bytes)})'}"
        for one in ordered[:_PROCESSES_SHOWN]
    ]
    more = len(ordered) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more else "")
