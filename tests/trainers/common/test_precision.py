"""Half precision where a machine has it, 32 bits and a warning where it has not."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.conftest import ROOT
from tests.trainers.test_conformance import quick
from trainers.common import precision
from trainers.common.precision import choose
from trainers.loading import load_trainer
from trainers.recording import RecordingRun

pytestmark = pytest.mark.cpu_isa

CPU = torch.device("cpu")
MISSING = "could not create a primitive descriptor for the LSTM forward propagation primitive"


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    precision.trouble_with.cache_clear()
    yield
    precision.trouble_with.cache_clear()


def without_half(
    monkeypatch: pytest.MonkeyPatch, module: Any, kernel: str, error: Exception | None = None
) -> list[bool]:
    """Take away a kernel of PyTorch under autocast; return, for each call, whether it was under."""
    real: Callable[..., Any] = getattr(module, kernel)
    calls: list[bool] = []

    def lacking(*arguments: Any, **named: Any) -> Any:
        calls.append(torch.is_autocast_enabled("cpu"))
        if calls[-1]:
            raise error or RuntimeError(f"{MISSING}. Run workload with ONEDNN_VERBOSE=all.")
        return real(*arguments, **named)

    monkeypatch.setattr(module, kernel, lacking)
    return calls


def test_32_bits_are_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = without_half(monkeypatch, torch._VF, "lstm")
    run = RecordingRun(tmp_path)
    found = choose(32, nn.LSTM(4, 4), run, CPU)
    assert found.facts() == {"precision": 32, "forward_type": "float32"}
    assert not calls
    assert not run.warnings


def test_half_precision_that_works_is_used(tmp_path: Path) -> None:
    run = RecordingRun(tmp_path)
    model = nn.Linear(4, 4)
    found = choose(16, model, run, CPU)
    assert found.facts() == {"precision": 16, "forward_type": "bfloat16"}
    assert not run.warnings
    with found.autocast():
        assert model(torch.ones(2, 4)).dtype is torch.bfloat16
    assert not found.grad_scaler().is_enabled()


def test_one_kind_of_layer_that_lacks_it_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_half(monkeypatch, torch._VF, "lstm")
    run = RecordingRun(tmp_path)
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Dropout(), nn.LSTM(4, 4)))
    found = choose(16, model, run, CPU)
    assert found.facts() == {"precision": 32, "forward_type": "float32"}
    assert run.warnings == [
        "requested precision 16, trained with 32: LSTM layers do not compute in bfloat16 on this "
        f"CPU ({MISSING})"
    ]
    with found.autocast():
        assert model[0](torch.ones(2, 4)).dtype is torch.float32
    assert choose(16, nn.Linear(4, 4), run, CPU).bits == 16, "it is about the layers in use"


def test_every_kind_of_layer_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = without_half(monkeypatch, torch._VF, "lstm")
    for _ in range(3):
        choose(16, nn.Sequential(nn.LSTM(4, 4), nn.LSTM(8, 8)), RecordingRun(tmp_path), CPU)
    assert calls.count(True) == 1


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("no memory left"), ValueError("a bug")])
def test_errors_of_another_kind_are_not_taken_for_it(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_half(monkeypatch, torch._VF, "lstm", error)
    with pytest.raises(type(error), match=str(error)):
        choose(16, nn.LSTM(4, 4), RecordingRun(tmp_path), CPU)


def test_what_fails_in_32_bits_too_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> Any:
        raise RuntimeError("the installation is broken")

    monkeypatch.setattr(torch._VF, "lstm", broken)
    with pytest.raises(RuntimeError, match="the installation is broken"):
        choose(16, nn.LSTM(4, 4), RecordingRun(tmp_path), CPU)


@pytest.mark.parametrize(
    "layer",
    [
        nn.LSTM(3, 5, 3, bidirectional=True, dropout=0.5),
        nn.GRU(3, 5),
        nn.RNN(3, 5),
        nn.Linear(3, 5),
        nn.Conv1d(1, 3, 5),
        nn.Conv2d(1, 3, 5, stride=2, bias=False),
        nn.ConvTranspose2d(3, 1, 5),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_trying_leaves_the_random_generator_and_the_gradients_alone(
    layer: nn.Module, tmp_path: Path
) -> None:
    before = torch.get_rng_state()
    choose(16, layer, RecordingRun(tmp_path), CPU)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(item.grad is None for item in layer.parameters())


@pytest.mark.parametrize(
    ("trainer", "values", "module", "kernel"),
    [
        ("edc", {"model": "lstm"}, torch._VF, "lstm"),
        ("edc", {"model": "hybrid_v2"}, torch._VF, "lstm"),
        ("speech", {}, torch._VF, "gru"),
        ("sar", {"model": "baseline"}, functional, "conv_transpose2d"),
    ],
)
def test_a_trainer_falls_back_to_what_it_does_with_32_bits(
    trainer: str,
    values: dict[str, Any],
    module: Any,
    kernel: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SWEEP_CACHE", str(tmp_path))
    known = load_trainer(trainer)

    def trained(bits: int) -> RecordingRun:
        run = RecordingRun(tmp_path)
        known.train(known.make_config({**quick(trainer), **values, "precision": bits}), run)
        return run

    whole = trained(32)
    assert not whole.warnings
    calls = without_half(monkeypatch, module, kernel)
    fallen = trained(16)
    assert calls.count(True) == 1
    (warning,) = fallen.warnings
    assert warning.startswith("requested precision 16, trained with 32: ")
    assert fallen.facts["effective"]["precision"] == 32
    assert fallen.facts["effective"]["forward_type"] == "float32"
    assert fallen.reports == whole.reports


@pytest.mark.slow
def test_a_shipped_sweep_shows_it_in_metadata_and_table_where_onednn_knows_avx2_alone(
    tmp_path: Path,
) -> None:
    # oneDNN reads its limit when it starts, so this needs a process of its own.
    small = ["rooms=10", "cases_per_room=2", "epochs=2", "rate_hz=100.0"]
    settings = [word for value in small for word in ("--set", value)]
    environment = {
        **os.environ,
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "CUDA_VISIBLE_DEVICES": "",
        "SWEEP_CACHE": str(tmp_path / "cache"),
        "SWEEP_RESULTS": str(tmp_path / "results"),
    }

    def sweep(*arguments: str) -> str:
        command = [str(Path(sys.executable).with_name("sweep")), *arguments]
        done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    table = sweep("run", str(ROOT / "sweeps" / "edc_failure.yaml"), "--inline", *settings)
    later = sweep("compare")
    files = sorted((tmp_path / "results").rglob("metadata.json"))
    found = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    assert [metadata["name"] for metadata in found] == ["failed", "stabilised"]
    for metadata in found:
        assert metadata["status"] == "complete"
        assert metadata["config"]["precision"] == 16
        fell_back = metadata["effective"]["precision"] == 32
        assert fell_back or platform.machine() not in ("x86_64", "AMD64")
        warning = "requested precision 16, trained with 32: LSTM layers do not compute in bfloat16"
        assert any(text.startswith(warning) for text in metadata["warnings"]) == fell_back
        assert (f"! {metadata['name']}: {warning}" in later) == fell_back
        # The end of a run folds its lines, and shows a finding of several trials once.
        assert (warning in " ".join(table.split())) == fell_back
