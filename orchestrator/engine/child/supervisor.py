"""Supervise attempts: start each in a process, pass on its messages, end it on request.

An attempt has a thread and a connection to the driver of its own. In JSON, through it travel::

    to the driver                            from the driver
    [message, ...]   of `process`, in order  "judged"   the messages were taken in
                                             "stop"     end in order

The driver supervises attempts in its own threads or lets agents do it, processes that `serve`. A
side that is gone closes its end, so each notices at once: an attempt without a driver is killed.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from orchestrator.engine.child.process import Attempt, Message, TrialProcess, is_last

JUDGED, STOP = "judged", "stop"

_SOCKET = "driver"
_TIME_TO_END_S = 10.0


def send(link: Connection, value: Any) -> None:
    """Send a value of JSON types; `OSError` if the other side is gone."""
    link.send_bytes(json.dumps(value).encode())


def receive(link: Connection) -> Any:
    """Return the next value; `EOFError` or `OSError` if the other side is gone."""
    return json.loads(link.recv_bytes())


def listen(folder: Path) -> socket.socket:
    """Return the socket on which a driver accepts agents and their attempts.

    Args:
        folder: readable by this user alone, of at most 90 bytes.
    """
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / _SOCKET))
    listener.listen()
    return listener


def accept(listener: socket.socket) -> Connection:
    """Return the connection of an agent or attempt that waits at `listener`."""
    return Connection(listener.accept()[0].detach())


def serve(folder: Path, agent_id: str) -> None:
    """Start the attempts that the driver listening in `folder` requests, until it closes.

    The first value on each connection is the id of the agent or the attempt.
    """
    threads = []
    with _connect(folder, agent_id) as link, suppress(EOFError, OSError):
        while True:
            attempt_id, text = receive(link)
            threads.append(start_thread(text, partial(_connect, folder, attempt_id)))
            threads = [thread for thread in threads if thread.is_alive()]
    for thread in threads:
        thread.join(_TIME_TO_END_S)


def start_thread(text: str, connect: Callable[[], Connection]) -> threading.Thread:
    """Supervise the attempt `text`, as of `Attempt.to_json`, in a thread of this process."""
    thread = threading.Thread(target=_supervise, args=(text, connect), daemon=True)
    thread.start()
    return thread


def _connect(folder: Path, name: str) -> Connection:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(folder / _SOCKET))
    link = Connection(client.detach())
    send(link, name)
    return link


def _supervise(text: str, connect: Callable[[], Connection]) -> None:
    # The driver may be gone, or have ended this attempt.
    with suppress(EOFError, OSError), connect() as link:
        try:
            process = TrialProcess(Attempt.from_json(text))
        except Exception as error:  # of any kind: it must reach the driver as a message
            send(link, [_failed(error)])
            return
        try:
            _follow(process, link)
        finally:
            process.close()


def _follow(process: TrialProcess, link: Connection) -> None:
    """Pass on the messages of a process until its last one."""
    is_judged = True
    while True:
        if is_judged:
            messages = _poll(process)
            if messages:
                send(link, messages)
                is_judged = False
            if is_last(messages):
                return
        sources = [link, *process.sources] if is_judged else [link]
        if link in wait(sources, process.seconds_left if is_judged else None):
            answer = receive(link)
            if answer == STOP:
                process.stop()
            is_judged = is_judged or answer == JUDGED


def _poll(process: TrialProcess) -> list[Message]:
    try:
        return process.poll(0)  # it also acknowledges to the trial what was judged
    except Exception as error:
        return [_failed(error)]


def _failed(error: Exception) -> Message:
    return ["failed", f"{type(error).__name__}: {error}"]
