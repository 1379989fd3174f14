"""Locks between processes: held, seen, and gone with their holder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import BusyError, UsageError
from orchestrator.files import lock

HOLD = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from orchestrator.files import lock\n"
    "held = lock.acquire(Path(sys.argv[1]), timeout_s=5, holder='x')\n"
    "print('held', flush=True)\n"
    "time.sleep(600)\n"
)


def hold(path: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.stdout.close()
    return holder


def test_a_held_lock_is_seen_and_ends_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    assert not lock.is_held(path)
    holder = hold(path)
    try:
        assert lock.is_held(path)
        with pytest.raises(BusyError, match="another process holds the run directory"):
            lock.acquire(path, timeout_s=0.1, holder="the run directory")
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
    assert not lock.is_held(path)
    lock.acquire(path, timeout_s=0, holder="x").release()


def test_a_process_sees_its_own_lock(tmp_path: Path) -> None:
    held = lock.acquire(tmp_path / ".lock", timeout_s=0, holder="x")
    assert lock.is_held(tmp_path / ".lock")
    held.release()
    assert not lock.is_held(tmp_path / ".lock")


def test_those_who_look_do_not_take_each_other_for_a_holder(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    lock.acquire(path, timeout_s=0, holder="x").release()
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from orchestrator.files import lock\n"
        "sys.exit(any(lock.is_held(Path(sys.argv[1])) for _ in range(20_000)))\n"
    )
    lookers = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(2)]
    assert [looker.wait(60) for looker in lookers] == [0, 0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_looking_needs_no_right_to_write(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    holder = hold(path)
    path.chmod(0o444)
    try:
        assert lock.is_held(path)
    finally:
        holder.kill()
        holder.wait(10)


def test_a_lock_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"\.lock: cannot be written"):
        lock.acquire(tmp_path / "file" / ".lock", timeout_s=0, holder="x")
    with pytest.raises(UsageError, match="cannot be written"):
        lock.acquire(tmp_path, timeout_s=0, holder="x")


def test_a_forked_worker_does_not_keep_a_lock_that_was_released(tmp_path: Path) -> None:
    held = lock.acquire(tmp_path / ".lock", timeout_s=0, holder="x")
    worker = os.fork()
    if not worker:
        signal.pause()
        os._exit(0)
    held.release()
    try:
        assert not lock.is_held(tmp_path / ".lock")
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
