"""Show the GPUs, and whether trials fit into the free memory."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import IO, Any

import click

from orchestrator.cli.output import mute
from orchestrator.cli.render.text_table import (
    LONGEST_CELL,
    Column,
    clean,
    draw,
    fit,
    terminal_width,
)
from orchestrator.errors import SweepError
from orchestrator.files import format_size, parse_size, to_mib
from orchestrator.placement import Device, fit as memory_fit, model
from orchestrator.placement.hardware import survey
from orchestrator.placement.leases import Leases

WRONG_USAGE = 64
"""Exit code for all that is no verdict, because 0 to 3 are verdicts here (EX_USAGE of sysexits)."""

_PROCESSES_SHOWN = 3


class _Wrong(click.ClickException):
    """A mistake, told as it always is, with an exit code that is no verdict."""

    exit_code = WRONG_USAGE

    def __init__(self, cause: click.ClickException) -> None:
        super().__init__(cause.message)
        self._cause = cause

    def show(self, file: IO[Any] | None = None) -> None:
        self._cause.show(file)


class _Command(click.Command):
    """A command whose mistakes, the user's and ours, never look like one of its verdicts."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        try:
            return super().make_context(*args, **extra)
        except click.ClickException as error:
            raise _Wrong(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):
            raise
        except click.ClickException as error:
            raise _Wrong(error) from None
        except SweepError as error:
            raise _Wrong(click.ClickException(str(error))) from None
        except Exception:
            traceback.print_exc()
            ctx.exit(WRONG_USAGE)


def _size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else parse_size(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("gpu", cls=_Command)
@click.option("--need", callback=_size, metavar="SIZE", help="Memory of one trial, as 8GB.")
@click.option(
    "--trials", type=click.IntRange(min=1), metavar="N", help="How many there are. [default: 1]"
)
@click.option("--json", "as_json", is_flag=True, help="Print devices and verdict as JSON.")
@click.pass_context
def command(ctx: click.Context, *, need: int | None, trials: int | None, as_json: bool) -> None:
    """Show the GPUs of this machine, and whether trials fit into what is free on them.

    With --need the exit code is the verdict. 0: all trials fit at once. 1: tight, all would fit if
    each took five sixths of that. 2: use sequential. 3: there is no GPU, or none holds one trial.
    Several GPUs count together; what running sweeps have promised to trials is not free. Without
    --need it is 0, or 3 where there is no GPU. Wrong usage is 64.
    """
    if trials is not None and need is None:
        raise click.UsageError("--trials: must come with --need SIZE, the memory of one.", ctx)
    devices, note = survey()
    left = Leases().remaining(devices)
    claimed = {
        device.key: device.free_bytes - after.free_bytes
        for device, after in zip(devices, left, strict=True)
    }
    promised = sum(claimed.values())
    told = f"running sweeps have promised {format_size(promised)} of what is free"
    why = "; ".join(words for words in (note, told if promised else "") if words)
    verdict = None if need is None else memory_fit.judge(left, need, trials or 1, why)
    text = (
        json.dumps(_as_dict(devices, claimed, note, verdict), indent=2)
        if as_json
        else "\n".join(_lines(devices, claimed, note, verdict))
    )
    _print(text)
    code = (0 if devices else memory_fit.NONE_FITS) if verdict is None else verdict.code
    ctx.exit(code)


def _print(text: str) -> None:
    try:
        click.echo(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Who reads no further still gets the verdict.
        mute()


def _as_dict(
    devices: Sequence[Device],
    claimed: Mapping[str, int],
    note: str,
    verdict: memory_fit.Verdict | None,
) -> dict[str, Any]:
    return {
        "devices": [
            {
                "id": device.id,
                "name": device.name,
                "uuid": device.uuid,
                "total_mib": to_mib(device.total_bytes),
                "free_mib": to_mib(device.free_bytes),
                "used_mib": to_mib(device.used_bytes),
                "claimed_mib": to_mib(claimed[device.key]),
                "utilisation": device.utilisation,
                "processes": None
                if device.processes is None
                else [
                    {
                        "pid": process.pid,
                        "memory_mib": None
                        if process.memory_bytes is None
                        else to_mib(process.memory_bytes),
                        "computes": process.computes,
                    }
                    for process in device.processes
                ],
            }
            for device in devices
        ],
        "note": note,
        "verdict": None if verdict is None else verdict.to_dict(),
    }


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
        more = f"{hidden} more column{'' if hidden == 1 else 's'}: --json"
        lines += [more] if hidden else []
        lines += [f"Note: {clean(note)}"] if note else []
    elif verdict is None:
        lines += [f"No GPU to use on this machine{f' ({clean(note)})' if note else ''}."]
    if verdict is not None:
        lines += [""] if devices else []
        lines += [clean(verdict.reason)]
    return lines


def _columns(devices: Sequence[Device], claimed: Mapping[str, int]) -> list[Column]:
    def sizes(values: Sequence[int]) -> list[str]:
        return [format_size(value) for value in values]

    columns = [
        Column("GPU", [device.id for device in devices]),
        Column("name", [clean(device.name, LONGEST_CELL) or "-" for device in devices]),
        Column("total", sizes([d.total_bytes for d in devices]), is_number=True),
        Column("used", sizes([d.used_bytes for d in devices]), is_number=True),
        Column("free", sizes([d.free_bytes for d in devices]), is_number=True),
    ]
    if any(claimed.values()):
        promised = [claimed[device.key] for device in devices]
        columns.append(Column("promised", sizes(promised), is_number=True))
    busy = ["-" if d.utilisation is None else f"{d.utilisation}%" for d in devices]
    return [
        *columns,
        Column("busy", busy, 1, is_number=True),
        Column("processes", [_processes(device.processes) for device in devices], 2),
        Column("UUID", [clean(device.uuid) or "-" for device in devices], 3),
    ]


def _processes(found: Sequence[model.Process] | None) -> str:
    """Return who holds memory, the greatest first."""
    if found is None:
        return "not told"
    if not found:
        return "none"
    ordered = sorted(found, key=lambda process: -(process.memory_bytes or 0))
    words = [
        str(process.pid)
        if process.memory_bytes is None
        else f"{process.pid} ({format_size(process.memory_bytes)})"
        for process in ordered[:_PROCESSES_SHOWN]
    ]
    more = len(ordered) - len(words)
    return ", ".join(words) + (f" and {more} more" if more else "")
