"""Ray on this machine where it cannot start; what it leaves is tried with whole sweeps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray

from orchestrator.engine.child.reaper import MARK, marked_folder, start_reaper
from orchestrator.engine.runners.ray_runner import local_ray
from orchestrator.errors import SweepError
from tests.engine.sweeps import is_alive, wait_until


def test_a_ray_that_does_not_start_is_tried_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []

    def refuse(**options: Any) -> None:
        # Ray makes its own folder writable for everyone; ours above it is not.
        folders.append(Path(options["_temp_dir"]).parent)
        assert folders[0].stat().st_mode & 0o077 == 0, "for this user alone"
        raise ConnectionError("no port is free")

    monkeypatch.setattr(ray, "init", refuse)
    with (
        marked_folder(ends_all=True) as folder,
        pytest.raises(SweepError, match=r"\(no port is free\)\. It was tried twice"),
        local_ray(2, folder),
    ):
        raise AssertionError("must not come here")
    assert MARK not in os.environ
    assert folders == [folder, folder]
    assert not folder.exists()


def test_a_ray_that_starts_too_slowly_is_started_once_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[str] = []

    def start(**options: Any) -> None:
        calls.append("init")
        if len(calls) == 1:
            raise TimeoutError("GCS has not started in 30 s")

    monkeypatch.setattr(ray, "init", start)
    monkeypatch.setattr(ray, "shutdown", lambda: calls.append("shutdown"))
    with local_ray(2, tmp_path) as lost:
        assert lost() is None
        assert calls == ["init", "shutdown", "init"], "what the first start left is ended"
    assert calls[3:] == ["shutdown"]


def test_a_ray_that_runs_already_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "shutdown", lambda: pytest.fail("it is not ours"))
    with pytest.raises(SweepError, match=r"Call ray\.shutdown\(\) first"), local_ray(2, tmp_path):
        raise AssertionError("must not come here")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_the_reaper_ends_what_carries_its_mark_and_nothing_else(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    reaper = start_reaper(mine)
    assert reaper is not None
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    sleepers = [
        subprocess.Popen(sleep, env={**os.environ, MARK: str(folder)}, start_new_session=True)
        for folder in (mine, other)
    ]
    # A process that writes a title over its environment is known by the files that it has open;
    # the driver has some open as well, and is to live on.
    with (mine / "log.txt").open("wb") as log:
        titled = subprocess.Popen(sleep, stdout=log, start_new_session=True)
        reaper.communicate(timeout=30)
    try:
        wait_until(lambda: not is_alive(sleepers[0].pid) and not is_alive(titled.pid))
        assert is_alive(sleepers[1].pid)
        assert not mine.exists()
    finally:
        for sleeper in (*sleepers, titled):
            sleeper.kill()
            sleeper.wait(10)
