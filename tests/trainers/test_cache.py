import threading
import time
from pathlib import Path

import numpy as np
import pytest

from trainers import cache
from trainers.cache import Arrays, Interrupted, cached, digest, entry


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Maker:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Arrays:
        self.calls += 1
        return {"values": np.arange(4.0), "names": np.array(["a", "b"])}


def test_an_entry_is_made_once_and_read_afterwards() -> None:
    make = Maker()
    first, again = (cached("thing", {"n": 4}, make) for _ in range(2))
    assert make.calls == 1
    assert first.keys() == again.keys() == {"values", "names"}
    np.testing.assert_array_equal(first["values"], again["values"])
    assert entry("thing", {"n": 4}).is_file()


def test_other_settings_and_kinds_are_other_entries() -> None:
    make = Maker()
    for kind, number in (("thing", 1), ("thing", 2), ("other", 1)):
        cached(kind, {"n": number}, make)
    assert make.calls == 3


def test_a_damaged_entry_is_made_anew() -> None:
    make = Maker()
    cached("thing", {}, make)
    path = entry("thing", {})
    path.write_bytes(path.read_bytes()[:50])
    np.testing.assert_array_equal(cached("thing", {}, make)["values"], np.arange(4.0))
    assert make.calls == 2


def test_several_that_want_the_same_wait_for_the_first() -> None:
    started, said = threading.Event(), []
    calls = []

    def slow() -> Arrays:
        calls.append(1)
        started.set()
        time.sleep(1.2)  # longer than the others wait before they say so
        return {"values": np.ones(1)}

    found: list[Arrays] = []
    first = threading.Thread(target=lambda: found.append(cached("thing", {}, slow)))
    first.start()
    assert started.wait(10)
    found.append(cached("thing", {}, slow, progress=said.append))
    first.join()
    assert len(calls) == 1
    assert len(found) == 2
    assert any("waiting" in text for text in said)


def test_who_waits_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    path = entry("thing", {}).with_suffix(".lock")
    path.parent.mkdir(parents=True)
    with (
        cache.FileLock(path),
        pytest.raises(Interrupted),
    ):
        cached("thing", {}, Maker(), should_stop=lambda: True)


def test_a_maker_that_fails_leaves_nothing_and_frees_the_lock() -> None:
    def fail() -> Arrays:
        raise Interrupted

    with pytest.raises(Interrupted):
        cached("thing", {}, fail)
    assert not entry("thing", {}).exists()
    assert cached("thing", {}, Maker())["values"][1] == 1.0


def test_a_folder_that_cannot_be_made_costs_time_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path / "file" / "cache"))
    said: list[str] = []
    make = Maker()
    cached("thing", {}, make, progress=said.append)
    cached("thing", {}, make, progress=said.append)
    assert make.calls == 2
    assert "cannot be written" in said[0]


def test_a_digest_goes_by_values_type_and_shape() -> None:
    values = np.arange(6, dtype=np.float32)
    assert digest(values) == digest(values.copy())
    assert digest(values[::2]) == digest(values[::2].copy())
    changed = values.copy()
    changed[3] += 1e-6
    others = [changed, values.astype(np.float64), values.reshape(2, 3)]
    assert len({digest(values), *map(digest, others)}) == 4
