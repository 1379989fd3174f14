from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.placement.memory_needs.history import (
    HISTORY_FILE,
    History,
    MemoryKey,
    memory_key,
)
from orchestrator.placement.model import Device, Need

GIB = 1 << 30
CARD = Device("0", "RTX 3090", 24 * GIB, 20 * GIB)
KEY = memory_key("edc", {"batch_size": 8}, CARD, alters=["batch_size"])


def kept(folder: Path, key: MemoryKey) -> dict[str, Any]:
    """Return what the file has at a key."""
    found: dict[str, Any] = json.loads((folder / HISTORY_FILE).read_text())["needs"][key.digest]
    return found


def test_what_was_measured_is_found_again(tmp_path: Path) -> None:
    history = History(tmp_path / HISTORY_FILE)
    assert history.lookup(KEY) is None
    assert history.record(KEY, 6 * GIB)
    assert History(tmp_path / HISTORY_FILE).lookup(KEY) == Need(6 * GIB, "history")
    assert history.record(KEY, 5 * GIB)
    assert history.lookup(KEY) == Need(6 * GIB, "history")
    assert kept(tmp_path, KEY)["count"] == 2
    assert history.record(KEY, 7 * GIB)
    assert history.lookup(KEY) == Need(7 * GIB, "history")
    text = json.loads((tmp_path / HISTORY_FILE).read_text())
    (entry,) = text["needs"].values()
    assert entry["of"]["values"] == {"batch_size": 8}
    assert entry["source"] == "measured"


def test_what_was_measured_wrongly_once_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / HISTORY_FILE
    history = History(path)
    old = {"memory_bytes": 20 * GIB, "source": "measured", "count": 3, "at": "", "of": {}}
    path.write_text(json.dumps({"version": 1, "needs": {KEY.digest: old}}))
    for _ in range(7):
        history.record(KEY, 5 * GIB)
        assert history.lookup(KEY) == Need(20 * GIB, "history")
    history.record(KEY, 6 * GIB)
    assert history.lookup(KEY) == Need(6 * GIB, "history")


def test_what_growth_learned_is_kept_beside_it(tmp_path: Path) -> None:
    history = History(tmp_path / HISTORY_FILE)
    history.record(KEY, GIB)
    assert history.growth(KEY) is None
    assert history.record_growth(KEY, {"at_once": 2})
    assert history.growth(KEY) == {"at_once": 2}
    assert history.lookup(KEY) == Need(GIB, "history")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"version": 2, "needs": {"KEY": {"memory_bytes": 5}}}',
        '{"version": 1, "needs": []}',
        '{"version": 1, "needs": {"KEY": 3}}',
        '{"version": 1, "needs": {"KEY": {"memory_bytes": -3}}}',
        '{"version": 1, "needs": {"KEY": {"memory_bytes": true}}}',
        '{"version": 1, "needs": {"KEY": {"memory_bytes": 1e30}}}',
        '{"version": 1, "needs": {"KEY": {"memory_bytes": "5"}}, "growth": {"KEY": 1}}',
        '{"version": 1, "growth": {"KEY": {"learned": 1}}}',
    ],
)
def test_a_senseless_file_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / HISTORY_FILE).write_text(content.replace("KEY", KEY.digest))
    history = History(tmp_path / HISTORY_FILE)
    assert history.lookup(KEY) is None
    assert history.growth(KEY) is None
    assert history.record(KEY, 3 * GIB)
    assert history.lookup(KEY) == Need(3 * GIB, "history")


@given(st.binary(max_size=60))
def test_any_bytes_are_read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("history") / HISTORY_FILE
    path.write_bytes(content)
    assert History(path).lookup(KEY) is None


def test_senseless_peaks_are_not_kept(tmp_path: Path) -> None:
    history = History(tmp_path / HISTORY_FILE)
    assert not history.record(KEY, 0)
    assert not history.record(KEY, 1 << 61)
    assert not (tmp_path / HISTORY_FILE).exists()


def test_a_folder_that_cannot_be_written_fails_no_sweep(tmp_path: Path) -> None:
    (tmp_path / "none").write_text("a file where a folder should be")
    history = History(tmp_path / "none" / HISTORY_FILE)
    assert not history.record(KEY, GIB)
    assert history.lookup(KEY) is None


def test_several_writers_lose_nothing(tmp_path: Path) -> None:
    keys = [memory_key("edc", {"n": n}, CARD) for n in range(4)]

    def write(number: int) -> None:
        history = History(tmp_path / HISTORY_FILE)
        for key in keys:
            assert history.record(key, (number + 1) * GIB)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for key in keys:
        assert History(tmp_path / HISTORY_FILE).lookup(key) == Need(3 * GIB, "history")
        assert kept(tmp_path, key)["count"] == 3


def test_a_trainers_key_holds_what_alters_its_memory() -> None:
    values = {"batch_size": 8, "lr": 0.1, "seed": 3}

    def digest(**changes: object) -> str:
        return memory_key("edc", {**values, **changes}, CARD, alters=["batch_size"]).digest

    assert digest() == digest(lr=0.2) == digest(seed=4)
    assert digest() != digest(batch_size=16)
    assert digest() != memory_key("toy", values, CARD, alters=["batch_size"]).digest
    other = Device("1", "RTX 3090", 24 * GIB, 3 * GIB, uuid="GPU-b")
    assert digest() == memory_key("edc", values, other, alters=["batch_size"]).digest
    smaller = Device("0", "RTX 3090", 16 * GIB, 3 * GIB)
    assert digest() != memory_key("edc", values, smaller, alters=["batch_size"]).digest


@pytest.mark.parametrize(
    "name",
    [
        "batch_size",
        "batch-size",
        "hidden",
        "layers",
        "model",
        "model_name",
        "model.name",
        "precision",
        "amp",
        "num_steps",
        "seq_len",
        "optimizer",
        "image_size",
        "sequence_epoch_length",
    ],
)
@pytest.mark.parametrize("value", [8, "large", True])
def test_whole_numbers_and_words_of_a_script_count(name: str, value: object) -> None:
    one = memory_key("train.py", {name: value}, CARD)
    assert one.digest != memory_key("train.py", {name: 9}, CARD).digest


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", 0.1),
        ("dropout", 1.0),
        ("seed", 3),
        ("random_seed", 3),
        ("data.seed", 3),
        ("epochs", 10),
        ("num_epochs", 10),
        ("--max-epochs", 10),
        ("max_steps", 10),
        ("warmup_steps", 10),
        ("log_every", 10),
        ("patience", 10),
        ("run_name", "a"),
        ("wandb_project", "a"),
        ("output_dir", "a"),
        ("save-path", "a"),
    ],
)
def test_what_sets_how_long_or_where_does_not(name: str, value: object) -> None:
    assert memory_key("train.py", {name: value}, CARD) == memory_key("train.py", {}, CARD)
