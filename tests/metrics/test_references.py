"""Metrics agree with other implementations to 1e-9.

Where a library is too heavy for tests, its value is written here with its version and the inputs.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from orchestrator.metrics import evaluate
from orchestrator.metrics.resampling import resampled
from trainers.eeg.metrics import evaluate as evaluate_probabilities

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_errors_are_those_of_scikit_learn(offset: float) -> None:
    targets = offset + RANDOM.normal(size=(40, 7))
    predictions = targets + 0.3 * RANDOM.standard_t(3, targets.shape)
    found = evaluate(None, predictions, targets, {})
    flat = targets.ravel(), predictions.ravel()
    assert found["mae"] == pytest.approx(sklearn_metrics.mean_absolute_error(*flat), rel=1e-9)
    assert found["rmse"] == pytest.approx(sklearn_metrics.root_mean_squared_error(*flat), rel=1e-9)
    assert found["r2"] == pytest.approx(sklearn_metrics.r2_score(*flat), rel=1e-9)


def test_auroc_of_weights_is_that_of_scikit_learn() -> None:
    labels = np.repeat([0.0, 1.0], 30)
    scores = np.round(RANDOM.uniform(size=60) * 0.7 + 0.3 * labels, 1)  # with ties
    weights = RANDOM.integers(0, 4, size=(5, 60)).astype(float)
    of = resampled("binary_probability", scores, labels, {})["auroc"]
    found = of.function(weights)  # type: ignore[union-attr]
    for row, value in zip(weights, found, strict=True):
        wanted = sklearn_metrics.roc_auc_score(labels, scores, sample_weight=row)
        assert value == pytest.approx(wanted, rel=1e-9)
    assert evaluate_probabilities(scores, labels)["auroc"] == pytest.approx(
        float(of.function(np.ones((1, 60)))[0]),  # type: ignore[union-attr, arg-type]
        rel=1e-9,
    )


def test_ssim_and_psnr_are_those_of_scikit_image() -> None:
    # scikit-image 0.26.0: structural_similarity(t, p, data_range=1, gaussian_weights=True,
    # sigma=1.5, use_sample_covariance=False), peak_signal_noise_ratio(t, p, data_range=1)
    down, across = np.mgrid[:24, :28]
    targets = 0.5 + 0.4 * np.sin(across / 3.0) * np.cos(down / 5.0)
    predictions = targets + 0.1 * np.sin(1.7 * across + 0.9 * down)
    found = evaluate("sar_image", predictions[None], targets[None], {})
    assert found["ssim"] == pytest.approx(0.7972438840177154, rel=1e-9)
    assert found["psnr"] == pytest.approx(23.011477735248004, rel=1e-9)


def test_error_rates_are_those_of_jiwer() -> None:
    # jiwer 4.0.0, process_words of the ids as words: WER 4/9, 0 substitutions,
    # 2 deletions, 2 insertions
    predictions = [[1, 2, 3], [4, 4, 5, 6], [], [7, 8]]
    targets = [[1, 3], [4, 5, 6, 7], [2], [7, 8]]
    arrays = [[np.array(ids, int) for ids in pair] for pair in (predictions, targets)]
    found = evaluate("phonemes", *arrays, {})
    assert found["per"] == pytest.approx(4 / 9, rel=1e-9)
    assert found["substitution_rate"] == pytest.approx(0.0, rel=1e-9, abs=1e-12)
    assert found["deletion_rate"] == pytest.approx(2 / 9, rel=1e-9)
    assert found["insertion_rate"] == pytest.approx(2 / 9, rel=1e-9)


def test_decay_times_and_clarity_are_those_of_iso_3382() -> None:
    # ISO 3382-1: T20 and EDT are 60 dB over the slope of the level, so T of exp(-13.8155 t / T);
    # C50 is 10 lg of early over late energy: the integrated curve at 50 ms divides them.
    rate_hz, times_s = 1000.0, np.array([0.4, 0.8, 1.6])
    time_s = np.arange(1500) / rate_hz
    targets = 10.0 ** (-6.0 * time_s / times_s[:, None])
    predictions = 10.0 ** (-6.0 * time_s / (times_s[:, None] + 0.1))
    found = evaluate("decay_curve", predictions, targets, {"rate_hz": rate_hz})
    assert found["t20_mae"] == pytest.approx(0.1, rel=1e-9)
    assert found["edt_mae"] == pytest.approx(0.1, rel=1e-9)
    late = [10.0 ** (-0.3 / (times_s + more)) for more in (0.0, 0.1)]
    clarity = [10.0 * np.log10((1 - part) / part) for part in late]
    wanted = float(np.abs(clarity[1] - clarity[0]).mean())
    assert found["c50_mae"] == pytest.approx(wanted, rel=1e-9)
    assert math.isfinite(wanted)
