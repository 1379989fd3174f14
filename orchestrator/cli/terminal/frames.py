"""What the live view shows, read from a sweep's folder and the machine again and again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import psutil
from rich.console import Console, RenderableType

from orchestrator.analysis.status import SweepStatus, read_status
from orchestrator.cli.render.events import in_words
from orchestrator.cli.terminal.sparkline import SeriesReader
from orchestrator.cli.terminal.view import EVENTS, Frame, Gauge, draw
from orchestrator.errors import NotFoundError
from orchestrator.files import atomic, regular
from orchestrator.placement.hardware import HostReader, Reader
from orchestrator.runs import SweepDir, TrialState

_BUSY = 0.05  # share of the time that reading may take
_TAIL_BYTES = 8_192
_NAME = 24


class Frames:
    """Makes the frames of one sweep.

    Args:
        folder: the sweep's; None until it is known.
        every_s: least time between two readings of the folder.

    Attributes:
        doing: what the driver does, such as "starting Ray"; "" while trials run.
    """

    def __init__(self, folder: SweepDir | None = None, *, every_s: float = 1.0) -> None:
        self.doing = ""
        self._folder = folder
        self._every_s = every_s
        self._frame = Frame()
        self._read_after = 0.0
        self._series: SeriesReader | None = None
        self._devices = _Devices()

    def follow(self, folder: SweepDir) -> None:
        """Show the sweep in `folder` from now on."""
        self._folder = folder
        self._read_after = 0.0

    def draw(self, console: Console, height: int) -> RenderableType:
        """Return the present frame."""
        began = time.monotonic()
        if began >= self._read_after:
            self._frame = self._read()
            took = time.monotonic() - began
            # The folder of a large sweep on a slow disk must not keep a training from its cores.
            self._read_after = began + max(self._every_s, took / _BUSY)
        return draw(self._frame, console, height)

    @property
    def status(self) -> SweepStatus | None:
        """The status as it was read last."""
        return self._frame.status

    def close(self) -> None:
        """Release the driver of the GPUs."""
        self._devices.close()

    def _read(self) -> Frame:
        if self._folder is None:
            return Frame(doing=self.doing)
        try:
            status = read_status(self._folder)
        except (NotFoundError, OSError):
            return Frame(doing=self.doing)
        if self._series is None:
            self._series = SeriesReader(self._folder, status.metric, status.goal)
        runs = [trial for trial in status.trials if trial.state == TrialState.RUNNING]
        series = {trial.number: self._series.read(trial.number, trial.name) for trial in runs}
        return Frame(
            status,
            self.doing,
            series,
            self._devices.read(self._folder),
            _last_events(self._folder, status.metric),
        )


class _Devices:
    """Reads memory and load of the devices that a sweep uses."""

    def __init__(self) -> None:
        self._gpus: Reader | None = None
        self._host: HostReader | None = None

    def close(self) -> None:
        if self._gpus is not None:
            self._gpus.close()

    def read(self, folder: SweepDir) -> Sequence[Gauge]:
        slots = (atomic.read_json(folder.plan_file) or {}).get("slots") or []
        used = {str(slot.get("device", "")) for slot in slots if isinstance(slot, dict)}
        wanted = {one for device in used for one in device.split(",")}
        if wanted - {"cpu", ""}:
            self._gpus = self._gpus or Reader()
            return [
                Gauge(f"GPU {one.id}", one.used_bytes, one.total_bytes, one.utilisation)
                for one in self._gpus.read()
                if one.id in wanted
            ]
        self._host = self._host or HostReader()
        host = self._host.read()
        used_bytes = host.total_bytes - host.free_bytes
        return [Gauge("CPU and RAM", used_bytes, host.total_bytes, psutil.cpu_percent())]


def _last_events(folder: SweepDir, metric: str) -> list[str]:
    with suppress(OSError), regular.open_file(folder.events_file, folder.path) as stream:
        stream.seek(max(0, stream.seek(0, 2) - _TAIL_BYTES))
        return in_words(metric, "%H:%M:%S", _NAME)(stream.read()).splitlines()[-EVENTS:]
    return []
