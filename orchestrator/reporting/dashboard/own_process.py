"""Serve the page of a sweep from a process of its own while `sweep run` runs it.

The process ends with the run, however that ends; if it ends earlier, the run does not notice.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.reporting.dashboard.server import address, listen, serve
from orchestrator.runs import SweepDir

_LOWER = 5  # by which it is less urgent than the trials
_END_S = 5.0


@contextmanager
def beside_run(sweep: SweepDir) -> Iterator[str]:
    """Serve the page of a sweep, whose folder may not exist yet, and yield its link."""
    secret = secrets.token_urlsafe(24)
    with listen() as listener:
        link = address(listener, secret, sweep.name)
        server = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "orchestrator.reporting.dashboard.own_process"),
                *(str(listener.fileno()), str(sweep.path.absolute())),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            start_new_session=True,  # Ctrl+C is for the sweep
        )
    assert server.stdin is not None
    try:
        with contextlib.suppress(OSError):
            server.stdin.write(f"{secret}\n".encode())
            server.stdin.flush()
        yield link
    finally:
        with contextlib.suppress(OSError):
            server.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_END_S)


def main(descriptor: str, sweep: str) -> None:
    """Serve at an open socket until standard input ends; its first line is the secret."""
    os.nice(_LOWER)
    secret = sys.stdin.readline().strip()
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    folder = SweepDir(Path(sweep))
    serve(socket.socket(fileno=int(descriptor)), secret, folder.path.parent, expected=folder)


def _end_with_stdin() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(*sys.argv[1:])
