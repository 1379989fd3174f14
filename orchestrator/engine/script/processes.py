"""The processes of a script: starting one, reading its output, and ending all that it started."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import psutil

from orchestrator.errors import TrialError
from orchestrator.sweepfile.model import Program

_THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "TF_NUM_INTRAOP_THREADS"),
)
_CHUNK = 65_536  # bytes
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER, _GET_CHILD_SUBREAPER = 1, 36, 37  # of prctl
_SIGNALS_TO_RESET = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE),
)
# How long a process may take to vanish after SIGKILL; one inside a driver may never do.
_KILL_TIMEOUT_S = 5.0

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def start(
    program: Program,
    words: Sequence[str],
    *,
    threads: int,
    more: Mapping[str, str],
) -> subprocess.Popen[bytes]:
    """Start `words` in the program's working folder, in the process group of the caller.

    Standard input is empty; output and errors share one pipe, which the caller reads.

    Args:
        threads: CPU threads that the script may use.
        more: further environment variables.

    Raises:
        TrialError: the system refuses to start it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    environment = dict.fromkeys(_THREAD_VARIABLES, str(threads))
    # Python would otherwise hold lines back until a buffer is full.
    environment["PYTHONUNBUFFERED"] = "1"
    try:
        return subprocess.Popen(
            # Bytes, so that what arrives does not depend on the locale.
            [word.encode("utf-8", "surrogateescape") for word in words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            cwd=program.workdir,
            env={**os.environ, **environment, **more},
            # It takes no lock that another thread could hold: signals and two system calls.
            preexec_fn=_guard(),  # noqa: PLW1509
        )
    except UnicodeEncodeError as error:
        raise TrialError(f"{program.path}: an argument is not text: {error}.") from None
    except OSError as error:
        hint = {
            errno.ENOEXEC: " An executable text file must begin with a line such as #!/bin/sh.",
            errno.ENOENT: f" Does the interpreter exist that the first line of {words[0]} names?",
            errno.E2BIG: " The arguments are longer than the system allows.",
        }.get(error.errno or 0, "")
        if not os.path.isdir(program.workdir):
            hint = f" The working folder {program.workdir} does not exist."
        reason = error.strerror or error
        raise TrialError(f"{program.path}: cannot be started: {reason}.{hint}") from None


def _guard() -> Callable[[], None]:
    """Return what lets a new process reset its signals and, on Linux, die with this one."""
    parent = os.getpid()

    def guard() -> None:
        for number in _SIGNALS_TO_RESET:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if _libc is not None:
            _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # the parent died before the request
                os._exit(1)

    return guard


class OutputPipe:
    """Reads what a process prints, without waiting for whoever holds the pipe open."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self.is_open = True
        self._handle = process.stdout.fileno()
        os.set_blocking(self._handle, False)
        self._poll = select.poll()
        self._poll.register(self._handle, select.POLLIN)

    def read(self, timeout_s: float) -> bytes:
        """Return what has been printed; nothing if nothing comes in time, or at the end."""
        if not self.is_open or not self._poll.poll(timeout_s * 1000):
            return b""
        try:
            data = os.read(self._handle, _CHUNK)
        except BlockingIOError:
            return b""
        self.is_open = bool(data)
        return data


class Tree:
    """The processes that this one starts while `watched` is active.

    On Linux this process becomes their reaper, so that a process that detaches itself (a daemon)
    is still found among our children. Elsewhere, those of our own session are found.
    """

    def __init__(self) -> None:
        self._root: int | None = None
        self._before: set[psutil.Process] = set()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Collect what starts inside the block."""
        was_reaper = _set_reaper(True)
        self._before = _related()
        try:
            yield
        finally:
            _set_reaper(was_reaper)

    def set_root(self, pid: int) -> None:
        """Name the process that its `Popen` collects, so that it is not reaped here."""
        self._root = pid

    def alive(self) -> list[int]:
        """Return the ids of the started processes that still run, and reap those that ended."""
        alive = []
        for process in _related() - self._before:
            try:
                has_ended = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
            except psutil.Error:
                has_ended = True
            if not has_ended:
                alive.append(process.pid)
            elif process.pid != self._root:
                with suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)
        return alive

    def ask(self, number: int) -> None:
        """Send a signal to the started processes.

        SIGUSR1 and SIGUSR2 go to the program alone: they would kill its workers.
        """
        is_for_program = number in (signal.SIGUSR1, signal.SIGUSR2)
        pids = [self._root] if is_for_program and self._root is not None else self.alive()
        _send(pids, number)

    def end(self, grace_s: float) -> list[int]:
        """End every started process: SIGTERM, then SIGKILL to what is left after `grace_s`.

        Returned are the ids of those that SIGKILL did not end; the kernel holds them.
        """
        try:
            if grace_s > 0:
                self.ask(signal.SIGTERM)
                deadline = time.monotonic() + grace_s
                while self.alive() and time.monotonic() < deadline:
                    time.sleep(0.05)
        finally:
            # Also if a second Ctrl+C cuts the wait short.
            deadline = time.monotonic() + _KILL_TIMEOUT_S
            left = self.alive()
            while left and time.monotonic() < deadline:
                _send(left, signal.SIGKILL)
                time.sleep(0.02)
                left = self.alive()
        return left


@contextmanager
def terminate_calls(act: Callable[[], None]) -> Iterator[None]:
    """Let SIGTERM call `act` inside the block; only a main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


def _related() -> set[psutil.Process]:
    """Return all descendants of this process, and the members of its group if it leads a session.

    Without a reaper, a process whose parent has ended is known only by its group. If we lead no
    session, the group may be a shell's pipeline.
    """
    own = os.getpid()
    found = set(psutil.Process().children(recursive=True))
    if os.getsid(0) == own:
        for pid in psutil.pids():
            with suppress(OSError, psutil.Error):  # it has just ended
                if pid != own and os.getpgid(pid) == own:
                    found.add(psutil.Process(pid))
    return found


def _set_reaper(on: bool) -> bool:
    """Switch the adoption of orphans on or off, and return the previous state."""
    if _libc is None:
        return False
    was = ctypes.c_int(0)
    _libc.prctl(_GET_CHILD_SUBREAPER, ctypes.byref(was), 0, 0, 0)
    _libc.prctl(_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)
    return bool(was.value)


def _send(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
