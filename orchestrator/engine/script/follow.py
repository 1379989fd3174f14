"""Running a person's own script as a trial, as it is.

The script is handed its config as arguments, runs in the sweep file's folder, and need not know
that it is part of a sweep. Its output is followed for metrics; the folder that it makes for itself
is adopted; what its own metadata says is held against what was asked; and when it ends, or is
ended, nothing that it started is left.

How a process ended, in words, with the lines of its output that say why.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.engine.script import launch
from orchestrator.engine.script.command_line import macros_of
from orchestrator.engine.script.job import Job, Limits, Piece, prepare
from orchestrator.engine.script.launch import ScriptRun, UntilStopped
from orchestrator.engine.script.outputs.file_claims import Written
from orchestrator.engine.script.outputs.harvest import Harvest
from orchestrator.engine.script.outputs.keep import Outputs
from orchestrator.engine.script.process_tree import Tree
from orchestrator.engine.script.reports.output_lines import (
    Line,
    Lines,
    Tail,
    headline,
    lines_that_matter,
)
from orchestrator.engine.script.reports.patterns import Follower
from orchestrator.errors import TrialError
from orchestrator.files import format_duration
from orchestrator.runs import RunDir
from orchestrator.sweepfile.model import Program

# Time for workers that outlive the script that started them.
LEFTOVER_GRACE_S = 2.0

_POLL_S = 0.2  # how often folder, stop request and waiting metrics are looked at
_PAUSE_S = 0.4  # silence after which a line without an end is looked at
_PROGRESS_S = 2.0  # how often the last line is shown while there are no metrics
_DRAIN_S = 1.0  # how long output of workers is read after the script has ended
_CHUNK = 65_536  # bytes


def run_script(
    program: Program, config: Mapping[str, Any], run: ScriptRun, *, grace_s: float | None = None
) -> None:
    """Run `program` with `config` until it ends, all its steps, and follow it.

    Called in a process that belongs to this trial, with standard output going to the trial's log.
    When ``run.should_stop`` turns true, the script and all that it started get the program's stop
    signal, and SIGKILL after `grace_s`; the call then returns normally. When this process gets
    SIGTERM, its group is taken to have got it too, and the script has the same time.

    Args:
        program: what to run.
        config: parameter name to value.
        run: where metrics, facts and warnings go.
        grace_s: time for the script to end itself when it is stopped, s; by default the program's.

    Raises:
        TrialError: it cannot be started, it fails, it breaks a limit, or this process got SIGTERM.
    """
    run.describe(config=dict(config))
    job = prepare(program, config, run)
    trial = _Script(job, config, run, program.grace_s if grace_s is None else grace_s)
    with trial.tree.watched(), _terminate_becomes(trial.on_sigterm):
        try:
            for piece in job.pieces:
                trial.step(piece)
                if trial.stops:
                    break
        finally:
            trial.clear_away()
    if trial.was_terminated:
        raise TrialError(f"{program.path}: was stopped, because the trial's process got SIGTERM.")
    if not trial.stops:
        trial.tell_unmatched()


class _Script:
    """One run of a script."""

    def __init__(self, job: Job, config: Mapping[str, Any], run: ScriptRun, grace_s: float) -> None:
        program = job.program
        self.tree = Tree()
        self.is_stopping = False
        self._program = program
        self._job = job
        self._run = run
        self._codes: dict[str, int] = {}
        self._limits = Limits()
        self._broken: str | None = None
        self._step_log: BinaryIO | None = None
        self._is_whole = False
        self._grace_s = grace_s
        self.was_terminated = False
        self._kill_at: float | None = None
        self._lines = Lines()
        self._tail = Tail()
        self._follower = Follower(program.patterns, UntilStopped(run))
        self._is_tee_broken = False
        self._seen_unfinished: Line | None = None
        self._started = self._last_output = time.monotonic()
        self._next_look = self._next_progress = 0.0
        self._log = RunDir(run.directory).log_file
        self._process: subprocess.Popen[bytes] | None = None
        self._outputs = Outputs(program, config, run, job.outputs)
        self._harvest = Harvest(
            program,
            config,
            run,
            outputs=lambda: self._outputs.path,
            expand=macros_of(program, config, run.directory).put_in_glob,
        )
        self._written: Written | None = None
        if not program.copies:
            # The run directory is results/<sweep>/trials/<trial>.
            above = [*run.directory.absolute().parents][2:3]
            self._written = Written(Path(program.workdir), program.outputs, *above)

    def on_sigterm(self) -> None:
        """Give the script its time to end; safe in a signal handler."""
        self.was_terminated = True

    def step(self, piece: Piece) -> None:
        """Run one command to its end.

        Raises:
            TrialError: it cannot be started, it fails, or it breaks a limit.
        """
        self._is_whole = False
        self._tail, self._lines = Tail(), Lines()
        self._limits = Limits(piece.timeout_s, piece.stall_timeout_s)
        self._started = self._last_output = time.monotonic()
        self._run.describe(command=piece.words)
        with piece.log.open("wb") if piece.log is not None else nullcontext() as log:
            self._step_log = log
            if piece.name:
                self._tee(f"=== step {piece.name} ===\n".encode())
            code = self._follow(piece)
        self._codes[piece.name] = code
        self._run.describe(exit_code=code)
        if self._broken is not None or (code != 0 and not self.stops):
            raise TrialError(self._failure(piece, code))
        if piece.name:
            self._run.describe(steps=self._codes)
        self._is_whole = not self.stops
        if self._is_whole and piece.name:
            self._job.notes.note(done=[*self._job.notes.done, piece.name])

    @property
    def stops(self) -> bool:
        """True where the script was asked to end, and for no fault of its own."""
        return self.is_stopping or self.was_terminated

    def tell_unmatched(self) -> None:
        """Warn of patterns that found nothing though the script ended well."""
        for pattern in self._follower.unmatched:
            if pattern not in self._harvest.matched:
                self._run.warn(f"metrics.pattern '{pattern}' matched no line of the output")

    def _follow(self, piece: Piece) -> int:
        """Start a command and follow it to its end; return its exit code, or minus a signal."""
        process = launch.start(
            self._program,
            piece.words,
            directory=self._run.directory,
            threads=self._run.threads,
            more={**self._harvest.variables, **piece.variables},
        )
        self._process = process
        self.tree.root = process.pid
        assert process.stdout is not None
        source = process.stdout.fileno()
        os.set_blocking(source, False)
        with process.stdout, selectors.DefaultSelector() as selector:
            selector.register(source, selectors.EVENT_READ)
            is_open = True
            while process.poll() is None:
                if not is_open:
                    time.sleep(_POLL_S / 4)
                elif selector.select(_POLL_S):
                    is_open = self._read(source)
                    if not is_open:
                        selector.unregister(source)
                self._look()
            if is_open:
                self._drain(source)
            # Workers that live on may hold the pipe open and go on writing into it.
            self._end_tree(LEFTOVER_GRACE_S)
            if is_open:
                self._drain(source)
        self._finish_output()
        return process.returncode

    def clear_away(self) -> None:
        """Leave no process behind, and keep what the script left."""
        try:
            self._end_tree(self._grace_s)
        finally:
            if self._process is not None:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(5.0)
            if self._written is not None:
                with suppress(OSError):  # what went wrong before is what counts
                    self._run.describe(written=self._written.changed())
            try:
                self._outputs.keep(self._pids(), is_whole=self._is_whole)
            finally:
                try:
                    self._harvest.close(is_whole=self._is_whole)
                finally:
                    self._keep_checkpoint()

    def _keep_checkpoint(self) -> None:
        if self._outputs.path is not None:
            self._job.notes.note(outputs=str(self._outputs.path))
        try:
            self._job.keep_checkpoint(self._run.directory)
        except OSError as error:
            self._run.warn(f"the checkpoint could not be kept: {error.strerror or error}")

    def _failure(self, piece: Piece, code: int) -> str:
        """Return the message for a command that ended with `code`, or was ended for a limit."""
        took_s = time.monotonic() - self._started
        log = piece.log or self._log
        name = f"step {piece.name}" if piece.name else self._program.path
        return failure(name, code, took_s, list(self._tail.lines), log, broken=self._broken)

    def _read(self, source: int) -> bool:
        """Take what the script has written; False at the end of its output."""
        try:
            data = os.read(source, _CHUNK)
        except BlockingIOError:
            return True
        if not data:
            return False
        self._tee(data)
        self._last_output = now = time.monotonic()
        self._seen_unfinished = None
        for line in self._lines.feed(data):
            self._tail.add(line)
            self._follower.line(line, now)
        return True

    def _tee(self, data: bytes) -> None:
        if self._step_log is not None:
            with suppress(OSError):  # the whole log says what is missing
                self._step_log.write(data)
                self._step_log.flush()
        rest = memoryview(data)
        while rest and not self._is_tee_broken:
            try:
                rest = rest[os.write(1, rest) :]
            except BlockingIOError:
                time.sleep(0.01)  # a terminal that someone else made non-blocking
            except OSError as error:
                # A full disk must not end a training that would otherwise go on.
                self._is_tee_broken = True
                self._run.warn(f"the log is not whole: {error.strerror}")

    def _drain(self, source: int) -> None:
        """Read what is in the pipe, but wait for nobody who holds it open."""
        deadline = time.monotonic() + _DRAIN_S
        with selectors.DefaultSelector() as selector:
            selector.register(source, selectors.EVENT_READ)
            while selector.select(0) and self._read(source) and time.monotonic() < deadline:
                pass

    def _look(self) -> None:
        """Do what is due: stop, adopt, compare, report, show."""
        now = time.monotonic()
        if now < self._next_look:
            return
        if not self.is_stopping and (self.was_terminated or self._run.should_stop):
            self.is_stopping = True
            self._ask_to_end(now)
        if self._kill_at is None:
            silent_s = now - self._last_output
            self._broken = self._limits.broken(now - self._started, silent_s)
            if self._broken is not None:
                self._ask_to_end(now)
        if self._kill_at is not None and now >= self._kill_at:
            self._end_tree(0.0)
        unfinished = self._lines.unfinished()
        is_new = unfinished is not None and unfinished != self._seen_unfinished
        if unfinished is not None and is_new and now - self._last_output >= _PAUSE_S:
            self._seen_unfinished = unfinished
            self._follower.unfinished(unfinished, now)
        self._follower.tick(now)
        if self._harvest.look(now):
            self._last_output = now  # a script may be silent and fill a table
        self._show_progress(now, unfinished)
        self._outputs.look(self._pids())
        self._next_look = time.monotonic() + _POLL_S

    def _ask_to_end(self, now: float) -> None:
        self._kill_at = now + self._grace_s
        if not self.was_terminated:  # a second SIGTERM might cut a checkpoint short
            self.tree.ask(signal.Signals[self._program.stop_signal])

    def _show_progress(self, now: float, unfinished: Line | None) -> None:
        if self._follower.count or self._harvest.count or now < self._next_progress:
            return
        text = unfinished.text if unfinished else (self._tail.lines or ("",))[-1]
        if text:
            self._next_progress = now + _PROGRESS_S
            self._run.progress(text[-100:])

    def _finish_output(self) -> None:
        now = time.monotonic()
        unfinished = self._lines.unfinished()
        if unfinished is not None:
            last = Line(unfinished.text)
            self._tail.add(last)
            self._follower.line(last, now)
        self._follower.close()

    def _pids(self) -> list[int]:
        return [] if self._process is None else [self._process.pid]

    def _end_tree(self, grace_s: float) -> None:
        left = self.tree.end(grace_s)
        if left:
            self._run.warn(f"processes {', '.join(map(str, left))} could not be ended")


@contextmanager
def _terminate_becomes(act: Callable[[], None]) -> Iterator[None]:
    """Let SIGTERM call `act` inside the block; only a main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


_HINTS = {
    "SIGKILL": " (the system may have run out of memory)",
    "SIGSEGV": " (a crash inside native code)",
    "SIGBUS": " (a crash inside native code; shared memory may be full)",
}
# Words of argparse, click and absl about an argument that they do not know.
_UNKNOWN_ARGUMENT = ("unrecognized arguments", "No such option", "Unknown command line flag")


def exit_words(code: int) -> str:
    """Return an exit code in words.

    Args:
        code: as `subprocess` gives it: negative for a signal.

    Returns:
        For instance ``"ended with exit code 3"`` or ``"was ended by SIGSEGV (a crash ...)"``.
    """
    # Shells pass a signal on as 128 + its number.
    number = -code if code < 0 else code - 128 if code > 128 else 0
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"ended with exit code {code}"
    hint = _HINTS.get(name, "")
    if code < 0:
        return f"was ended by {name}{hint}"
    return f"ended with exit code {code}, which stands for {name}{hint}"


def failure(
    program: str,
    code: int,
    took_s: float,
    output: Sequence[str],
    log: Path,
    broken: str | None = None,
) -> str:
    """Return the message for a script that failed.

    Args:
        program: path or name of the script.
        code: its exit code, negative for a signal; not 0.
        took_s: how long it ran, s.
        output: the last lines of its output, the oldest first.
        log: the file with all of its output, named where it exists.
        broken: the limit for which it was ended; None where it ended by itself.
    """
    lines = lines_that_matter(output)
    fault = headline(output) if broken is None else ""
    message = f"{Path(program).name}: "
    message += broken or f"must end with exit code 0, but {exit_words(code)}"
    message += f" after {format_duration(took_s)}"
    # Tables show the first line alone.
    message += f": {fault}" if fault else "."
    if lines:
        message += "".join(f"\n    {line}" for line in lines)
    else:
        message += " It printed nothing."
    if any(words in line for line in lines for words in _UNKNOWN_ARGUMENT):
        message += (
            "\nThe script does not know an argument by this name: compare its --help with the "
            "names in the sweep file; `args: hyphen-space` sends --like-this 1."
        )
    return message + (f"\nLog: {log}" if log.exists() else "")
