"""What arrays mean, and which way a metric is better."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from orchestrator import metrics as kinds
from orchestrator.errors import UsageError
from orchestrator.metrics import ArrayProblem


def decay(reverberation_s: np.ndarray, rate_hz: float = 500.0, n: int = 1000) -> np.ndarray:
    return np.exp(-np.log(1e6) * np.arange(n) / rate_hz / reverberation_s[:, None])


TARGETS = decay(np.array([0.4, 0.8, 1.2]))
PREDICTIONS = decay(np.array([0.5, 0.8, 1.1]))


@pytest.mark.parametrize("kind", [None, "picture"])
def test_without_a_known_kind_regression_only(kind: str | None) -> None:
    found = kinds.evaluate(kind, PREDICTIONS, TARGETS, {})
    assert found.keys() == kinds.known_metrics().keys() >= {"mae", "rmse", "r2"}


@pytest.mark.parametrize("kind", ["decay_curve", "edc"])
def test_decay_curves_get_their_own_metrics_too(kind: str) -> None:
    data = {"kind": "decay_curve", "rate_hz": 500, "unit": "energy"}
    metrics = kinds.evaluate(kind, PREDICTIONS, TARGETS, data)
    plain = kinds.evaluate(None, PREDICTIONS, TARGETS, {})
    assert plain.items() <= metrics.items()
    assert list(metrics)[:3] == ["mae", "rmse", "r2"]
    assert metrics["t20_mae"] == pytest.approx(0.2 / 3, abs=1e-6)
    assert metrics["edt_mae"] == pytest.approx(0.2 / 3, abs=1e-6)
    assert {"c50_mae", "c50_rmse", "c50_r2", "c50_edcsum_mae"} <= set(metrics)


def test_what_the_kind_needs_is_asked_for() -> None:
    with pytest.raises(ArrayProblem, match="metrics of a decay_curve need rate_hz"):
        kinds.evaluate("edc", PREDICTIONS, TARGETS, {"kind": "decay_curve"})
    with pytest.raises(ArrayProblem, match="rate_hz must be"):
        kinds.evaluate("edc", PREDICTIONS, TARGETS, {"rate_hz": "fast"})
    with pytest.raises(ArrayProblem, match="rate_hz must be"):
        kinds.evaluate("edc", PREDICTIONS, TARGETS, {"rate_hz": 0})


def test_names_and_nearest_names() -> None:
    assert kinds.resolve_kind("edc") == kinds.resolve_kind("decay_curve") == "decay_curve"
    assert "speech-to-nothing" not in kinds.kind_names()
    with pytest.raises(UsageError, match=r"the kind 'edcs' .*\. Did you mean 'edc'\?"):
        kinds.resolve_kind("edcs")
    assert "edc" in kinds.kind_names()


@pytest.mark.parametrize("kind", [None, "edc"])
@pytest.mark.parametrize(
    ("metric", "goal"),
    [
        ("mae", "minimize"),
        ("val_rmse", "minimize"),
        ("r2", "maximize"),
        ("val_r2", "maximize"),
        ("test_t20_r2", "maximize"),
        ("c50_edcsum_mae", "minimize"),
        ("c50_undefined", "minimize"),
        ("val_loss", "minimize"),
        ("ssim_loss", "minimize"),
        ("val_ssim", "maximize"),
        ("PSNR", "maximize"),
        ("auroc", "maximize"),
        ("val_balanced_accuracy", "maximize"),
        ("accuracy_top5", "maximize"),
        ("per", "minimize"),
        ("validation/acc", "maximize"),
        ("something_unheard_of", None),
    ],
)
def test_goal(metric: str, goal: str | None, kind: str | None) -> None:
    assert kinds.goal(metric, kind) == goal


def test_known_metrics_are_those_of_any_arrays_and_those_of_the_kind() -> None:
    plain = list(kinds.known_metrics())
    assert plain[:3] == ["mae", "rmse", "r2"]
    assert list(kinds.known_metrics("edc"))[: len(plain) + 1] == [*plain, "edt_mae"]
    assert "mae" not in kinds.known_metrics("speech")
    assert kinds.known_metrics("sar")["psnr"].unit == kinds.unit("test_psnr", "sar") == "dB"
    assert kinds.unit("rmse") == ""


def test_every_kind_is_there_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from orchestrator import metrics\n"
        "metrics.known_metrics()\n"
        "metrics.goal('mae')\n"
        "assert 'numpy' not in sys.modules, 'import numpy inside the function of a metric'\n"
        "for kind in ('binary_probability', 'decay_curve', 'phonemes', 'sar_image',\n"
        "             'sine_mixture'):\n"
        "    own = metrics.known_metrics(kind).keys() - metrics.known_metrics().keys()\n"
        "    assert own and kind in metrics.kind_names()\n"
        "heavy = {'torch', 'ray', 'optuna', 'pandas', 'scipy', 'pyroomacoustics', 'sklearn'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
