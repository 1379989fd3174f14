"""Disks, locks, limits and clocks that fail: one sentence, and the same command continues."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from orchestrator.errors import SweepError
from orchestrator.files import atomic
from tests.faults.test_crash import killed_everywhere


def test_a_sweep_on_a_full_disk_waits_and_continues(tmp_path: Path) -> None:
    assert ": 0 problems" in killed_everywhere("meeting", tmp_path / "s", "full in a trial")


@pytest.mark.slow
def test_every_fault_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    assert ": 0 problems" in killed_everywhere("meeting", tmp_path / "s")


def test_a_failure_is_the_disks_only_if_that_cannot_be_written(tmp_path: Path) -> None:
    full = os.strerror(errno.ENOSPC)
    assert atomic.disk_trouble(tmp_path, "ValueError: no such column") is None
    gone = atomic.disk_trouble(tmp_path / "gone", f"OSError: {full}")
    assert gone == "the folder was removed, moved or unmounted"


def test_room_elsewhere_is_not_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = f"OSError: [Errno 28] {os.strerror(errno.ENOSPC)}: '/dev/shm/x'"
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 40))
    assert atomic.disk_trouble(tmp_path, message) is None, "it is another disk"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1 << 20))
    assert atomic.disk_trouble(tmp_path, message) == "the disk is full"


@pytest.mark.parametrize(("limit", "number", "words"), [("files", 30, "-n"), ("space", 1, "-v")])
def test_ray_does_not_start_below_its_limits(
    limit: str, number: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.engine.runners import ray_runner

    limits = {"files": (4096, 4096), "space": (-1, -1), limit: (number, number)}
    kinds = {ray_runner.resource.RLIMIT_NOFILE: "files", ray_runner.resource.RLIMIT_AS: "space"}
    monkeypatch.setattr(ray_runner.resource, "getrlimit", lambda kind: limits[kinds[kind]])
    with pytest.raises(SweepError, match=f"`ulimit {words}` is .*Raise"):
        ray_runner._check_limits()
