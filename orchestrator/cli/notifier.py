"""Runs the command of ``notify``, which can neither hang nor fail the sweep."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.cli.output import say
from orchestrator.cli.render.text import clean
from orchestrator.divergence.symptoms import divergence_symptoms
from orchestrator.errors import SweepError
from orchestrator.files import format_duration
from orchestrator.runs import SweepDir, SweepRecord, TrialRecord, TrialState, load_trials
from orchestrator.sweepfile import Private
from orchestrator.sweepfile.model import Spec

_ROWS = 10
_WIDTH = 100
_TAIL_BYTES = 4096


class Notifier:
    """Follows a sweep's events and runs the command at those that the file names, once for each.

    The command gets the event in environment variables, and a sentence and the head of the table
    on its standard input. It has a process group of its own, which is killed at the timeout.
    """

    def __init__(self, spec: Spec) -> None:
        self._settings: dict[str, Any] = spec.options.get("notify") or {"on": ()}
        self._settings = Private(spec.private).put_in(self._settings)
        self._folder: SweepDir | None = None
        self._start_in = spec.path.parent
        self._environment = dict(os.environ)  # before a trial in this process changes it
        self._left = set(self._settings["on"])
        self._threads: list[threading.Thread] = []

    def opened(self, folder: SweepDir) -> None:
        """Take in where the sweep is."""
        self._folder = folder

    def __call__(self, event: str, record: TrialRecord | None) -> None:
        """Take in one event of the engine."""
        if event != "trial_ended" or record is None:
            return
        if record.state is TrialState.FAIL:
            self._notify("failure", record)
        elif record.state is TrialState.PRUNED and record.symptom in divergence_symptoms():
            self._notify("divergence", record)

    def ended(self) -> None:
        """Report the end of the sweep, if that was not done."""
        self._notify("end", None)

    def close(self) -> None:
        """Report the end of the sweep, and wait until all commands have ended or were killed."""
        self.ended()
        for thread in self._threads:
            thread.join()

    def _notify(self, event: str, trial: TrialRecord | None) -> None:
        if event not in self._left or self._folder is None:
            return
        self._left.discard(event)
        try:
            self._start(*_told(self._folder, event, trial))
        except Exception as error:  # whatever it is, the sweep continues
            say(f"Warning: notify: cannot be started: {clean(str(error))}")

    def _start(self, text: str, facts: Mapping[str, str]) -> None:
        # Started by the thread that runs trials: a script that is followed in this process counts
        # what starts later as its own.
        command = self._settings["command"]
        output = tempfile.TemporaryFile()  # noqa: SIM115 - the thread closes it
        try:
            with tempfile.TemporaryFile() as given:
                given.write(text.encode(errors="replace"))
                given.seek(0)
                process = subprocess.Popen(
                    command,
                    shell=isinstance(command, str),
                    cwd=self._start_in,
                    env={**self._environment, **facts},
                    stdin=given,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except BaseException:
            output.close()
            raise
        thread = threading.Thread(target=self._wait, args=(process, output), daemon=True)
        thread.start()
        self._threads.append(thread)

    def _wait(self, process: subprocess.Popen[bytes], output: BinaryIO) -> None:
        problem = ""
        try:
            code = process.wait(self._settings["timeout"])
            problem = f"exit code {code}" if code else ""
        except subprocess.TimeoutExpired:
            limit = format_duration(self._settings["timeout"])
            problem = f"killed after {limit}"
        # Also what it has left in the background.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with output:
            output.seek(max(0, output.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = output.read().decode(errors="replace").split("\n")
        last = next((clean(line, 200) for line in reversed(lines) if line.strip()), "")
        if problem:
            say(f"Warning: notify: {problem}{f': {last}' if last else ''}")


def _told(folder: SweepDir, event: str, trial: TrialRecord | None) -> tuple[str, dict[str, str]]:
    """Return what the command reads, and the environment variables that describe the event."""
    sweep, records = SweepRecord.load(folder), load_trials(folder)
    done = sum(record.state.is_finished for record in records)
    total = len(records) if sweep is None or sweep.n_trials is None else sweep.n_trials
    about = sweep if trial is None else trial
    state = about.state.value if about is not None else ""
    reason = (about.reason or "").partition("\n")[0] if about is not None else ""
    facts = {
        "SWEEP_EVENT": event,
        "SWEEP_NAME": folder.name,
        "SWEEP_FOLDER": str(folder.path.absolute()),
        "SWEEP_STATE": state,
        "SWEEP_REASON": clean(reason),
        "SWEEP_DONE": str(done),
        "SWEEP_TRIALS": str(total),
    }
    who = folder.name
    if trial is not None:
        facts |= {"SWEEP_TRIAL": str(trial.number), "SWEEP_TRIAL_NAME": trial.name}
        who += f": trial {trial.number} ({clean(trial.name)})"
    because = f" ({clean(reason)})" if reason else ""
    head = f"{who}: {state}{because}, {done} of {total} trials done"
    return f"{head}\n\n{_table(folder)}\n", facts


def _table(folder: SweepDir) -> str:
    from orchestrator.analysis.table import compare
    from orchestrator.cli.render.comparison import heading, table_lines

    try:
        comparison = compare([Path(folder.path)], top=_ROWS)
    except (SweepError, OSError) as error:
        return f"No table: {clean(str(error))}"
    table = table_lines(comparison, width=_WIDTH) if comparison.rows else []
    return "\n".join([heading(comparison), *table])
