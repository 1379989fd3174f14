"""Running a user's own script as a trial: starting it, following it, and clearing away after it."""

from __future__ import annotations

import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.engine.script.command_line import mask_files, reporting_variables
from orchestrator.engine.script.found_files import Arrays, ScriptFolder
from orchestrator.engine.script.job import Command, Job, keep_checkpoint, prepare
from orchestrator.engine.script.output_folder import Outputs
from orchestrator.engine.script.output_log import OutputLog
from orchestrator.engine.script.output_text import Line, Lines, Tail, failure
from orchestrator.engine.script.processes import OutputPipe, Tree, start, terminate_calls
from orchestrator.engine.script.reports.merge import Follower, Reports
from orchestrator.engine.script.reports.sources import Sources
from orchestrator.engine.script.reports.usual_lines import UsualLines, reports_itself
from orchestrator.engine.script.workdir import (
    MOST_REPORTED,
    FileStates,
    changed_files,
    written_files,
)
from orchestrator.errors import TrialError
from orchestrator.runs import RunDir
from orchestrator.sweepfile.model import Program
from orchestrator.sweepfile.program import Macros

if TYPE_CHECKING:
    from orchestrator.engine.child.trial_run import TrialRun

LEFTOVER_GRACE_S = 2.0  # time for workers that outlive the script that started them
_POLL_S = 0.2  # how often folder, stop request and waiting metrics are looked at
_PAUSE_S = 0.4  # silence after which a line without an end is looked at
_PROGRESS_S = 2.0  # how often the last line is shown while there are no metrics
_LONGEST_SHOWN = 300  # characters of a command in the message about its failure
_DRAIN_S = 1.0  # how long output of workers is read after the script has ended


def run_script(
    program: Program, config: Mapping[str, Any], run: TrialRun, *, grace_s: float | None = None
) -> None:
    """Run all steps of `program` with `config` until they end; no process of it is left.

    Call it in the trial's own process, with standard output going to the trial's log. When
    ``run.should_stop`` turns true, the script and all that it started get the program's stop
    signal, and SIGKILL after `grace_s` (by default the program's); the call then returns normally.
    When this process gets SIGTERM, its group is assumed to have got it too, and the script has the
    same time.

    Raises:
        TrialError: it cannot be started, it fails, it breaks a limit, or this process got SIGTERM.
    """
    run.describe(config=dict(config))
    config = replace(Macros.of(program, config, run.directory), device=run.device).expanded()
    job = prepare(program, config, run)
    script = _Script(job, config, run, program.grace_s if grace_s is None else grace_s)
    with script.tree.watched(), terminate_calls(script.on_sigterm):
        try:
            for command in job.commands:
                script.run_command(command)
                if script.was_stopped:
                    break
        finally:
            script.clear_away()
            script.log.close()
    if script.was_terminated:
        raise TrialError(f"{program.path}: was stopped: the trial's process got SIGTERM.")
    if not script.was_stopped:
        script.warn_of_unmatched()


class _Script:
    """One run of a script."""

    def __init__(self, job: Job, config: Mapping[str, Any], run: TrialRun, grace_s: float) -> None:
        program = job.program
        self.tree = Tree()
        self.was_terminated = False
        self._is_stopping = False
        self._job = job
        self._program = program
        self._config = config
        self._run = run
        self._grace_s = grace_s
        # What the command that runs now has shown.
        self._process: subprocess.Popen[bytes] | None = None
        self._broken: str | None = None
        self._kill_at: float | None = None
        self._is_whole = False
        self._codes: dict[str, int] = {}
        self._lines = Lines()
        self._tail = Tail()
        self._seen_unfinished: Line | None = None
        self.log = OutputLog(RunDir(run.directory).log_file, run.warn)
        if job.copied:
            self.log.note(job.copied)
        self._started = self._last_output = time.monotonic()
        self._next_look = self._next_progress = 0.0
        # Where its metrics and its files are found.
        self._printed = Reports(run)
        self._usual = None
        if not (program.patterns or program.metrics.files or reports_itself(program)):
            self._usual = UsualLines(self._printed, config)
        self._follower = self._usual or Follower(program.patterns, self._printed)
        self._variables = reporting_variables(config, run.directory)
        self._outputs = Outputs(program, config, run, job.outputs)
        self._folder = ScriptFolder(
            lambda: Path(program.workdir) if program.outputs is None else self._outputs.path,
            # No other trial writes into a folder of its own.
            is_shared=not program.copies and program.outputs is None,
            expand=Macros.of(program, config, run.directory).put_in_glob,
        )
        self._logged = Reports(run)
        self._sources = Sources(
            program.metrics,
            self._folder,
            self._logged,
            directory=run.directory,
            patterns=program.patterns,
            config=config,
        )
        self._arrays = Arrays(program.metrics.arrays, self._folder)
        self._before = self._files()

    @property
    def was_stopped(self) -> bool:
        """True if the script was asked to end, and not for a fault of its own."""
        return self._is_stopping or self.was_terminated

    def on_sigterm(self) -> None:
        """Give the script its time to end; safe in a signal handler."""
        self.was_terminated = True

    def run_command(self, command: Command) -> None:
        """Run one command to its end; raise a `TrialError` if it fails or breaks a limit."""
        self._is_whole = False
        self._tail, self._lines = Tail(), Lines()
        self._started = self._last_output = time.monotonic()
        self._run.describe(command=command.words)
        with command.log.open("wb") if command.log is not None else nullcontext() as log:
            self.log.begin_step(log)
            if command.step:
                self.log.write(f"=== step {command.step} ===\n".encode())
            code = self._follow(command)
        self._codes[command.step] = code
        self._run.describe(exit_code=code)
        if self._broken is not None or (code != 0 and not self.was_stopped):
            name = f"step {command.step}" if command.step else self._program.path
            log_file = command.log or RunDir(self._run.directory).log_file
            took_s = time.monotonic() - self._started
            lines = list(self._tail.lines)
            text = failure(name, code, took_s, lines, log_file, broken=self._broken)
            text, log_line, rest = text.partition("\nLog: ")
            text += f"\nCommand: {shlex.join(command.words)[:_LONGEST_SHOWN]}"
            raise TrialError(f"{text}\nFolder: {self._program.workdir}{log_line}{rest}")
        if command.step:
            self._run.describe(steps=self._codes)
        self._is_whole = not self.was_stopped
        if self._is_whole and command.step:
            self._job.notes.note(done=[*self._job.notes.done, command.step])

    def warn_of_unmatched(self) -> None:
        """Warn of patterns that found nothing though the script ended well."""
        matched = self._follower.matched | self._sources.matched
        for pattern in dict.fromkeys(self._program.patterns):
            if pattern not in matched:
                self._run.warn(f"metrics.pattern '{pattern}' matched no line of the output")

    def clear_away(self) -> None:
        """End every process, and keep what the script left."""
        run = self._run
        with ExitStack() as each:  # whatever fails; the last one is called first
            each.callback(self._keep_checkpoint)
            each.callback(self._close_sources)
            each.callback(lambda: self._outputs.keep(self._pids(), is_whole=self._is_whole))
            each.callback(self._describe_written)
            each.callback(self._note_taken)
            # What only the script may read was for its run.
            each.callback(mask_files, self._config, run.directory, run.masked)
            self._end_tree(self._grace_s)

    def _follow(self, command: Command) -> int:
        """Start a command and follow it to its end; return its exit code, or minus a signal."""
        process = start(
            self._program,
            command.words,
            threads=self._run.threads,
            more={**self._variables, **command.variables},
        )
        self._process = process
        self.tree.set_root(process.pid)
        output = OutputPipe(process)
        assert process.stdout is not None
        with process.stdout:
            while process.poll() is None:
                if output.is_open:
                    self._take(output.read(_POLL_S))
                else:
                    time.sleep(_POLL_S / 4)
                self._look(command)
            self._drain(output)
            self._wait_for_leftovers(output)
            self._end_tree(LEFTOVER_GRACE_S)
            self._drain(output)
        unfinished = self._lines.unfinished()
        if unfinished is not None:
            last = Line(unfinished.text)
            self._tail.add(last)
            self._follower.line(last, time.monotonic())
        self._follower.send()
        return process.returncode

    def _drain(self, output: OutputPipe) -> None:
        """Take what is in the pipe, without waiting for whoever holds it open."""
        deadline = time.monotonic() + _DRAIN_S
        while data := output.read(0):
            self._take(data)
            if time.monotonic() >= deadline:
                break

    def _wait_for_leftovers(self, output: OutputPipe) -> None:
        """Give workers that hold the pipe time to end, and warn if one still prints then."""
        grace_s = 0.0 if self.was_stopped else LEFTOVER_GRACE_S
        deadline, has_printed = time.monotonic() + grace_s, False
        while output.is_open and self.tree.alive() and time.monotonic() < deadline:
            data = output.read(_POLL_S)
            has_printed |= bool(data)
            self._take(data)
        if has_printed and self.tree.alive() and not self.was_stopped:
            self._run.warn(
                "the program ended while a process that it had started still printed, which was "
                "ended. Let the program wait for it, and start nothing in the background"
            )

    def _take(self, data: bytes) -> None:
        """Take what the script has printed."""
        if not data:
            return
        self.log.write(data)
        self._last_output = now = time.monotonic()
        self._seen_unfinished = None
        for line in self._lines.feed(data):
            self._tail.add(line)
            if self._usual is None or not self._logged.count:  # else the program reports itself
                self._follower.line(line, now)

    def _look(self, command: Command) -> None:
        """Do what is due: stop, adopt, compare, report, show."""
        now = time.monotonic()
        if now < self._next_look and (self._is_stopping or not self._run.should_stop):
            return
        self._stop_if_due(command, now)
        unfinished = self._lines.unfinished()
        is_new = unfinished is not None and unfinished != self._seen_unfinished
        if unfinished is not None and is_new and now - self._last_output >= _PAUSE_S:
            self._seen_unfinished = unfinished
            self._follower.unfinished(unfinished, now)
        self._follower.tick(now)
        before = self._logged.count
        self._sources.look(now)
        if self._logged.count > before:
            self._last_output = now  # a script may be silent and fill a table
        self._show_progress(now, unfinished)
        self._outputs.look(self._pids())
        self._next_look = time.monotonic() + _POLL_S

    def _stop_if_due(self, command: Command, now: float) -> None:
        """Ask the script to end if it should stop or breaks a limit, and kill it in the end."""
        asks = not self._is_stopping and (self.was_terminated or self._run.should_stop)
        if asks:
            self._is_stopping = True
        elif self._kill_at is None:
            silent_s = now - self._last_output
            self._broken = command.broken_limit(now - self._started, silent_s)
            asks = self._broken is not None
        if asks:
            self._kill_at = now + self._grace_s
            if not self.was_terminated:  # a second SIGTERM might cut a checkpoint short
                self.tree.ask(signal.Signals[self._program.stop_signal])
        if self._kill_at is not None and now >= self._kill_at:
            self._end_tree(0.0)

    def _show_progress(self, now: float, unfinished: Line | None) -> None:
        if self._printed.count or self._logged.count or now < self._next_progress:
            return
        text = unfinished.text if unfinished else (self._tail.lines or ("",))[-1]
        if text:
            self._next_progress = now + _PROGRESS_S
            self._run.progress(text[-100:])

    def _pids(self) -> list[int]:
        return [] if self._process is None else [self._process.pid]

    def _end_tree(self, grace_s: float) -> None:
        if left := self.tree.end(grace_s):
            self._run.warn(f"processes {', '.join(map(str, left))} could not be ended")

    def _describe_written(self) -> None:
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5.0)
        if not self._program.copies:
            with suppress(OSError):  # what went wrong before is what counts
                changed = sorted(changed_files(self._before, self._files()).items())
                self._run.describe(written=dict(changed[:MOST_REPORTED]))

    def _files(self) -> FileStates:
        """Return the files of a folder that trials share."""
        if self._program.copies:
            return {}
        # The run directory is results/<sweep>/trials/<trial>.
        above = self._run.directory.absolute().parents
        results = above[2] if len(above) > 2 else None
        return written_files(Path(self._program.workdir), self._program.outputs, results)

    def _close_sources(self) -> None:
        """Take what is left in files; if the script failed, what is missing is no surprise."""
        try:
            self._sources.close(time.monotonic())
            problems = self._arrays.keep(self._run.directory)
            warnings = self._sources.differences(self._config)
            if self._is_whole:
                warnings += [*self._sources.complaints(), *problems]
            for text in warnings:
                self._run.warn(text)
        finally:
            self._folder.close()

    def _note_taken(self) -> None:
        """Write into the log which metrics were taken from the output, if the file names none."""
        if self._usual is not None and self._usual.taken and not self._logged.count:
            names = [*self._usual.taken]
            self._run.describe(taken=names)
            self.log.note(f"the file names no metrics; taken from the output: {', '.join(names)}")

    def _keep_checkpoint(self) -> None:
        if self._outputs.path is not None:
            self._job.notes.note(outputs=str(self._outputs.path))
        try:
            keep_checkpoint(self._job.find_checkpoint(), self._run.directory)
        except OSError as error:
            self._run.warn(f"the checkpoint could not be kept: {error.strerror or error}")
