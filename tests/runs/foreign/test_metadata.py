from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.runs.foreign import metadata as foreign
from orchestrator.runs.read import open_run

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)
KEYS = st.sampled_from(
    ["config", "hyperparameters", "params", "args", "data", "metrics", "warnings", "results", "x"]
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("predictions.npy", True),
        ("val_targets.npy", True),
        ("metadata.json", True),
        ("metrics.jsonl", True),
        ("metrics.csv", True),
        ("predictions.PKL", True),
        ("predictions", False),
        ("my_predictions.npy", False),
        ("metrics.py", False),
        ("log.txt", False),
        (".metadata.json", False),
    ],
)
def test_a_run_is_known_by_the_names_of_its_files(name: str, expected: bool) -> None:
    assert foreign.is_run_file(name) is expected


def test_arrays_in_another_format_are_told_only_where_the_needed_one_is_missing() -> None:
    assert foreign.other_formats({"predictions.npz", "targets.npy", "targets.csv"}) == [
        "predictions.npz"
    ]


@pytest.mark.parametrize("key", ["config", "hyperparameters", "hparams", "params", "args"])
def test_config_is_the_map_that_tools_call_so_with_dots_for_nesting(key: str) -> None:
    metadata = {"seed": 3, key: {"optimizer": {"lr": 1e-3, "betas": [0.9, 0.99]}, "batch": 8}}
    assert foreign.config_of(metadata) == {
        "optimizer.lr": 1e-3,
        "optimizer.betas": [0.9, 0.99],
        "batch": 8,
    }


def test_without_a_config_map_the_plain_values_are_the_config() -> None:
    metadata = {"lr": 1e-3, "parameters": 197_885_568, "losses": [1, 2], "config": "a.yaml"}
    assert foreign.config_of(metadata) == {
        "lr": 1e-3,
        "parameters": 197_885_568,
        "config": "a.yaml",
    }


def test_nested_metadata_become_dotted_names_without_metrics_and_arrays() -> None:
    metadata = {
        "model": {"lr": 0.1, "cell": {"kind": "gru"}, "history": [1, 2]},
        "final_metrics": {"mae": 0.2},
        "data": {"kind": "edc", "rate_hz": 48_000},
        "seed": 3,
    }
    found = {"model.lr": 0.1, "model.cell.kind": "gru", "seed": 3}
    assert foreign.config_of(metadata) == found
    written = {"model": {"lr": 0.1, "widths": [8, 8]}, "layers": [1, 2]}
    assert foreign.config_of(written, is_config=True) == {
        "model.lr": 0.1,
        "model.widths": [8, 8],
        "layers": [1, 2],
    }


def test_values_as_wandb_writes_them_are_unwrapped() -> None:
    assert foreign.flatten(
        {"lr": {"value": 0.1, "desc": None}, "m": {"value": 1, "unit": "s"}}
    ) == {
        "lr": 0.1,
        "m.value": 1,
        "m.unit": "s",
    }


def test_what_the_arrays_are_needs_a_kind() -> None:
    assert foreign.data_of({"data": {"kind": "decay_curve", "rate_hz": 500}})["rate_hz"] == 500
    assert foreign.data_of({"data": "/somewhere/data.npz"}) == {}
    assert foreign.data_of({"data": {"rate_hz": 500}}) == {}
    assert foreign.data_of({"data": {"kind": ["a"]}}) == {}


def test_metadata_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_bytes(b"\xef\xbb\xbf" + b'{"lr": 1}')
    assert foreign.read_object(tmp_path / "metadata.json")[0] == {"lr": 1}


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"{torn", b"\xff\xfe\x00", b"[" * 100_000])
def test_metadata_that_is_no_object_is_empty(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metadata.json").write_bytes(content)
    assert foreign.read_object(tmp_path / "metadata.json")[0] == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{'lr': 1}", ["metadata.json cannot be read: it is not JSON, see line 1"]),
        (b'{"lr": 1,\n "mode"', ["metadata.json cannot be read: it is not JSON, see line 2"]),
        (b"", ["metadata.json cannot be read: it is not JSON, see line 1"]),
        (b"[1, 2]", ["metadata.json cannot be read: it must hold a JSON object"]),
        (b"\xff\xfe{", ["metadata.json cannot be read: it is not UTF-8 text"]),
        (b"[" * 100_000, ["metadata.json cannot be read: it is not JSON that any tool reads"]),
        (b'\xef\xbb\xbf{"lr": 1}', []),
        (b"{}", []),
    ],
)
def test_metadata_that_cannot_be_read_is_a_problem(
    tmp_path: Path, content: bytes, said: list[str]
) -> None:
    assert open_run(tmp_path).warnings == []
    (tmp_path / "metadata.json").write_bytes(content)
    assert open_run(tmp_path).warnings == said


def test_the_last_that_was_logged_wins(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"val": {"loss": 0.5}, "note": "x"}')
    (tmp_path / "metrics.jsonl").write_text(
        '{"step": 1, "metrics": {"val.loss": 0.4}}\n'
        '{"step": 2, "metrics": {"val.loss": "nan"}}\n{"st'
    )
    found = foreign.logged_metrics(tmp_path, {"final_metrics": {"mae": 0.1, "best": True}})
    assert found["mae"] == 0.1
    assert found["val.loss"] != found["val.loss"]
    assert set(found) == {"mae", "val.loss"}


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "NaN", "Infinity"])
def test_non_finite_numbers_may_be_texts(text: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"loss": text, "name": "infinite"}))
    found = foreign.logged_metrics(tmp_path, {})
    assert set(found) == {"loss"}
    assert str(found["loss"]) == str(float(text))


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"end": 1}
    for _ in range(levels):
        value = {"a": value}
    return value


def test_config_nested_beyond_reason_is_cut() -> None:
    lists: Any = 1
    for _ in range(400):
        lists = [lists]
    found = foreign.config_of({"config": {**nested(400), "b": lists}})
    assert len(found) == 2
    assert all(len(str(value)) < 40 for value in found.values())


@pytest.mark.slow
@given(metadata=st.dictionaries(KEYS, JSON))
def test_metadata_of_any_shape_is_no_crash(
    metadata: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    read = foreign.read_object(folder / "metadata.json")[0]
    assert set(read) == set(metadata)
    assert all(isinstance(name, str) for name in foreign.config_of(read))
    assert isinstance(foreign.data_of(read).get("kind", ""), str)
    assert all(isinstance(text, str) for text in foreign.warnings_of(read))
    logged = foreign.logged_metrics(folder, read)
    assert all(isinstance(value, float) for value in logged.values())


FLAT = st.dictionaries(st.text("abc", min_size=1), st.integers() | st.text(max_size=3))


@given(FLAT)
def test_flattening_leaves_flat_maps_alone(mapping: dict[str, Any]) -> None:
    assert foreign.flatten(mapping) == mapping
    assert foreign.flatten({"outer": mapping}) == (
        {f"outer.{name}": value for name, value in mapping.items()} or {"outer": {}}
    )
