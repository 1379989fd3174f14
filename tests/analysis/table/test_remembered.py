"""Tables of runs that were measured before."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.analysis.measure import in_processes, remembered
from orchestrator.analysis.measure.logged import Rule
from orchestrator.analysis.table import compare
from orchestrator.files import caching
from orchestrator.runs.read import find_runs

CURVE = [{"step": step, "metrics": {"val_loss": 1.0 / step}} for step in range(1, 6)]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own cache, on whatever file system the tests run, of files that need not be old."""
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(caching, "_SETTLED_NS", -(10**9))
    monkeypatch.setattr(caching, "_file_system", lambda device: "ext4")
    return tmp_path / "cache"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(4):
        folder = tmp_path / "runs" / f"run{number}"
        folder.mkdir(parents=True)
        targets = np.arange(60.0).reshape(20, 3)
        np.save(folder / "targets.npy", targets)
        np.save(folder / "predictions.npy", targets + rng.normal(size=(20, 3)) * (number + 1))
        (folder / "metadata.json").write_text(json.dumps({"config": {"lr": number}}))
        (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, CURVE)) + "\n")
    return tmp_path / "runs"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the runs whose files were read."""
    found: list[str] = []

    def read(run: Any, *settings: Any) -> Any:
        found.append(run.name)
        return whole(run, *settings)

    whole = remembered.read
    monkeypatch.setattr(remembered, "read", read)
    return iter([found])


def test_what_has_not_changed_is_not_read_again(
    cache: Path, runs: Path, reads: Iterator[list[str]]
) -> None:
    (read,) = reads
    first = compare([runs])
    assert read == ["run0", "run1", "run2", "run3"]
    again = compare([runs])
    assert len(read) == 4
    assert again == first
    assert [row.interval for row in again.rows] == [row.interval for row in first.rows]
    compare([runs], at="last")  # another question
    assert len(read) == 8
    compare([runs])
    assert len(read) == 8


@pytest.mark.parametrize("way", ["in place", "replaced", "time set back", "metadata", "log"])
def test_what_has_changed_is_read_again(
    cache: Path, runs: Path, reads: Iterator[list[str]], way: str
) -> None:
    (read,) = reads
    before = {row.trial: row for row in compare([runs]).rows}
    folder = runs / "run2"
    path = folder / "predictions.npy"
    status = path.stat()
    if way == "in place":
        mapped = np.load(path, mmap_mode="r+")
        mapped += 1
        mapped.flush()
    elif way == "replaced":
        np.save(folder / "other.npy", np.load(path) + 1)
        (folder / "other.npy").replace(path)
    elif way == "time set back":
        np.save(path, np.load(path) + 1)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif way == "metadata":
        (folder / "metadata.json").write_text(json.dumps({"config": {"lr": 7}}))
    else:
        with (folder / "metrics.jsonl").open("a") as log:
            log.write(json.dumps({"step": 6, "metrics": {"val_loss": 0.0}}) + "\n")
    after = {row.trial: row for row in compare([runs]).rows}
    assert read[4:] == ["run2"]
    changed = before["run2"], after["run2"]
    assert changed[0].metrics != changed[1].metrics or changed[0].config != changed[1].config
    assert after["run1"].metrics == before["run1"].metrics


def test_a_file_that_changed_a_moment_ago_is_read_again(
    cache: Path, runs: Path, reads: Iterator[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (read,) = reads
    monkeypatch.setattr(caching, "_SETTLED_NS", 120 * 10**9)
    compare([runs])
    compare([runs])
    assert len(read) == 8
    assert not cache.exists()


@pytest.mark.parametrize("system", ["tmpfs", "fuse.sshfs", ""])
def test_times_of_other_file_systems_are_not_trusted(
    cache: Path, runs: Path, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "_file_system", lambda device: system)
    assert caching.fingerprint(runs / "run0") is None
    compare([runs])
    assert not cache.exists()


def test_other_source_code_measures_again(
    cache: Path, runs: Path, reads: Iterator[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (read,) = reads
    compare([runs])
    monkeypatch.setattr(remembered, "_code", lambda: "other")
    compare([runs])
    assert len(read) == 8


@pytest.mark.parametrize("damage", [b"", b"[1]", b"{", b'{"a": 1}', None])
def test_a_damaged_cache_is_no_cache(
    cache: Path, runs: Path, reads: Iterator[list[str]], damage: bytes | None
) -> None:
    (read,) = reads
    first = compare([runs])
    (file,) = cache.iterdir()
    if damage is None:  # right keys, wrong values
        damage = json.dumps({key: [1] for key in json.loads(file.read_text())}).encode()
    file.write_bytes(damage)
    assert compare([runs]) == first
    assert len(read) == 8


def test_without_a_place_for_a_cache_nothing_is_kept(
    cache: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("a file where the folder would be")
    assert compare([runs]).n_complete == 4
    assert sorted(path.name for path in runs.iterdir()) == [f"run{number}" for number in range(4)]


def test_nothing_is_written_next_to_runs(cache: Path, runs: Path) -> None:
    before = sorted(runs.rglob("*"))
    compare([runs])
    assert sorted(runs.rglob("*")) == before
    (file,) = cache.iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_a_link_to_a_folder_is_not_trusted(cache: Path, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (runs / "run0" / "plots").symlink_to(tmp_path / "elsewhere")
    assert caching.fingerprint(runs / "run0") is None
    assert caching.fingerprint(runs / "run1") is not None
    assert caching.fingerprint(runs / "none") is None


def test_several_processes_read_the_same(
    cache: Path, runs: Path, reads: Iterator[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (read,) = reads
    (runs / "run3" / "predictions.npy").write_bytes(b"torn")
    monkeypatch.setattr(caching, "_SETTLED_NS", 120 * 10**9)
    alone = compare([runs])
    assert len(read) == 4
    monkeypatch.setattr(in_processes, "FEWEST", 1)
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # whatever other tests left
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2})
    shown: list[tuple[int, int]] = []
    together = compare([runs], on_progress=lambda done, found: shown.append((done, found)))
    assert together == alone
    assert together.incomplete == alone.incomplete != ()
    assert len(read) == 4  # the others were read elsewhere
    assert shown[-1] == (4, 4)


def test_what_changes_after_it_was_read_elsewhere_is_not_remembered(
    cache: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = remembered.Remembered([runs])
    run = find_runs([runs])[0]
    monkeypatch.setattr(caching, "fingerprint", lambda path: None)
    known.prepare([run], None, None, Rule(), lambda done: None)
    monkeypatch.setattr(caching, "fingerprint", lambda path: "settled since")
    known.read(run, None, None, Rule())
    known.save()
    assert not cache.exists()


def test_a_process_that_is_killed_costs_nothing_but_time(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_processes, "FEWEST", 1)
    monkeypatch.setattr(threading, "active_count", lambda: 1)  # whatever other tests left
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    main = os.getpid()

    def read(run: Any, *settings: Any) -> Any:
        if os.getpid() != main and run.name == "run2":
            os.kill(os.getpid(), 9)
        return whole(run, *settings)

    whole = in_processes.read
    monkeypatch.setattr(in_processes, "read", read)
    assert compare([runs]).n_complete == 4
