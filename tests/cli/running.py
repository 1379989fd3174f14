"""Ways to type `sweep` commands: in this process, or at a desk with a sweep file and a script."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from orchestrator.cli import main
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.records import SweepRecord, TrialRecord, load_trials
from tests.conftest import ROOT
from tests.engine.sweeps import processes_with, wait_until

SWEEP = str(Path(sys.executable).with_name("sweep"))
SCRIPT = ROOT / "tests" / "engine" / "script" / "scripts" / "train_model.py"

# The copy of the script also records each start, and does not sleep once a file "hurry" exists.
PRELUDE = """
import os, sys
line = f"{os.environ.get('CUDA_VISIBLE_DEVICES')}|{' '.join(sys.argv[1:])}\\n"
with open("starts.txt", "a") as stream:
    stream.write(line)
"""

HEAD = """\
version: 1
name: mine
program: train_model.py
args: hyphen-space
outputs: "experiments/*/"
metrics:
  pattern: 'Epoch (?P<step>\\d+)/(?P<total>\\d+) - loss: (?P<train_loss>\\S+) - val_loss: (?P<val_loss>\\S+)'
"""  # noqa: E501


def sweep(*words: str) -> int:
    """Run a `sweep` command in this process, and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert isinstance(ended.value.code, int)
    return ended.value.code


def sweep_in(
    folder: Path, *words: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a `sweep` command in this process as if it were typed in `folder`.

    A process of its own would import everything again, and start a server for its trials.

    Args:
        env: all environment variables; by default those of this process.
    """
    output, errors = StringIO(), StringIO()
    environment = mock.patch.dict(os.environ, env or {}, clear=env is not None)
    with environment, chdir(folder), redirect_stdout(output), redirect_stderr(errors):
        code = sweep(*words)
    return subprocess.CompletedProcess(words, code, output.getvalue(), errors.getvalue())


class Desk:
    """A folder in which a person works.

    Args:
        folder: the folder; processes are known by it, as it stands in their environment.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hurry = folder / "hurry"
        source = SCRIPT.read_text(encoding="utf-8")
        for name in ("record_t20_weight", "epoch_time"):
            source = source.replace(f'"--{name}"', f'"--{name.replace("_", "-")}"')
        slow = "time.sleep(args.epoch_time)"
        assert slow in source
        source = source.replace(slow, f'time.sleep(0 if Path("hurry").exists() else {slow[11:-1]})')
        docstring, rest = source.split('"""\n\n', 1)
        self.write("train_model.py", f'{docstring}"""\n{PRELUDE}\n{rest}')

    def write(self, name: str, text: str) -> Path:
        """Write a file into the folder."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def write_sweep(
        self, trials: Mapping[str, Mapping[str, Any]], more: str = "", head: str = HEAD
    ) -> Path:
        """Write ``sweep.yaml`` with named trials."""
        lines = [f"  {name}: {{set: {json.dumps(values)}}}" for name, values in trials.items()]
        return self.write("sweep.yaml", "\n".join([head + more, "trials:", *lines, ""]))

    def env(self, **more: str) -> dict[str, str]:
        """Return the environment that all commands get."""
        found = {**os.environ, "SWEEP_TEST_DESK": str(self.folder), "COLUMNS": "200"}
        found.pop("SWEEP_RESULTS", None)
        return found | more

    def inline(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a `sweep` command that needs no process of its own; `more` is as for `sweep`."""
        return sweep_in(self.folder, *words, env=self.env(**more))

    def sweep(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a `sweep` command to its end; `more` are environment variables."""
        return subprocess.run(
            [SWEEP, *words],
            cwd=self.folder,
            env=self.env(**more),
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a `sweep` command as a terminal does: with a process group of its own."""
        # A person's terminal hands over SIGINT unblocked and not ignored.
        return subprocess.Popen(
            [SWEEP, *words],
            cwd=self.folder,
            env=self.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def start_on_terminal(self, *words: str) -> tuple[subprocess.Popen[bytes], int]:
        """Start a program on a terminal of its own; the descriptor is our end of it.

        When our end is closed, the terminal's session gets SIGHUP.
        """
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            words,
            cwd=self.folder,
            env=self.env(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        os.close(theirs)
        return process, ours

    def sweep_dir(self, name: str = "mine", results: str = "results") -> SweepDir:
        """Return the folder of a sweep."""
        return SweepDir(self.folder / results / name)

    def record(self, name: str = "mine") -> SweepRecord:
        """Return the record of a sweep."""
        found = SweepRecord.load(self.sweep_dir(name))
        assert found is not None
        return found

    def trials(self, name: str = "mine", results: str = "results") -> dict[str, TrialRecord]:
        """Return the records of all trials by name."""
        return {record.name: record for record in load_trials(self.sweep_dir(name, results))}

    def run_dir(self, trial: str, name: str = "mine") -> RunDir:
        """Return the run directory of a trial."""
        return self.sweep_dir(name).run_dir(self.trials(name)[trial].number, trial)

    def metadata(self, trial: str, name: str = "mine") -> dict[str, Any]:
        """Return the metadata of a trial."""
        found: dict[str, Any] = json.loads(self.run_dir(trial, name).metadata_file.read_text())
        return found

    def status(self, *words: str) -> dict[str, Any]:
        """Return the output of ``sweep status --json``."""
        done = self.sweep("status", "--json", *words)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def starts(self) -> Counter[int]:
        """Return how often the script was started with each seed."""
        return Counter(
            int(found[1])
            for line in self.start_lines()
            if (found := re.search(r"--seed (\d+)", line))
        )

    def start_lines(self) -> list[str]:
        """Return one line ``<CUDA_VISIBLE_DEVICES>|<arguments>`` for each start of the script."""
        path = self.folder / "starts.txt"
        return path.read_text().splitlines() if path.exists() else []

    def processes(self) -> list[int]:
        """Return the processes that live on from commands of this desk."""
        return processes_with(f"SWEEP_TEST_DESK={self.folder}\0")

    def leave(self) -> None:
        """Fail where a process is left after ten seconds, and end it."""
        try:
            wait_until(lambda: not self.processes(), 10)
        except AssertionError:
            left = {pid: _command(pid) for pid in self.processes()}
            _end(left)
            raise AssertionError(f"processes are left: {left}") from None


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
    except OSError:
        return "?"


def _end(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
