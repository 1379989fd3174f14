"""Run a tool and read what its trials wrote."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.side_by_side.peers import ROOT, Tool

MARK = "SIDE_BY_SIDE_LOG"
TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Timeline:
    """What happened in one run, in seconds after its command."""

    first_report: float
    first_end: float
    last_end: float
    end: float
    trials: int
    output: str


class Run:
    """One run of a tool, in a process group of its own."""

    def __init__(
        self,
        tool: Tool,
        folder: Path,
        trials: int,
        *,
        python: str,
        parallel: int = 2,
        settings: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.log = folder / "events.jsonl"
        self._output = (folder / "output.txt").open("ab")
        env = {
            **(env or os.environ),
            MARK: str(self.log),
            "RAY_USAGE_STATS_ENABLED": "0",
            "SYNETUNE_FOLDER": str(folder / "syne"),
            "GUILD_HOME": str(folder),
            **{f"SIDE_BY_SIDE_{name}": str(value) for name, value in (settings or {}).items()},
        }
        # Ray and sweep take this process's own interpreter; the others have theirs on a .pth.
        env["PYTHONPATH"] = os.pathsep.join([str(folder), str(ROOT)])
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
        self.began = time.time()
        self.process = subprocess.Popen(
            tool.command(python, trials, parallel),
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def events(self) -> list[dict[str, Any]]:
        """Return what the trials wrote so far."""
        lines = self.log.read_bytes().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]

    def finish(self) -> Timeline:
        """Wait for the end and return the times; `RuntimeError` if no trial reported."""
        self.process.wait(TIMEOUT_S)
        end = time.time()
        self._output.close()
        events = self.events()
        output = self.output()
        reports = [event["time"] for event in events if event["event"] == "report"]
        ends = [event["time"] for event in events if event["event"] == "end"]
        if not reports or not ends:
            raise RuntimeError(f"no trial came to its end:\n{output[-2000:]}")
        after = [moment - self.began for moment in (reports[0], min(ends), max(ends), end)]
        return Timeline(*after, len(ends), output)

    def output(self) -> str:
        """Return what it has printed."""
        return Path(self._output.name).read_text(errors="replace")

    def tree(self) -> list[psutil.Process]:
        """Return the processes of the tool and of its trials."""
        with suppress(psutil.Error):
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        return []

    def kill(self) -> None:
        """Kill the tool as `kill -9` does, and nothing else."""
        self.process.kill()
        self.process.wait()

    def left(self) -> list[int]:
        """Return the processes that carry the mark of this run."""
        mark = f"{MARK}={self.log}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found


@contextmanager
def ended(run: Run) -> Iterator[Run]:
    """End all processes of a run at the end of the block."""
    try:
        yield run
    finally:
        below = {process.pid for process in run.tree()}
        for pid in {*below, *run.left()}:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        run.process.wait()
