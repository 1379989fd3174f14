import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from orchestrator import metrics as kinds
from trainers.sar import metrics

RANDOM = np.random.default_rng(0)


def images(count: int = 3, size: int = 32) -> np.ndarray:
    return RANDOM.uniform(0.3, 0.7, (count, size, size))


def test_psnr_is_one_mean_over_all_pixels() -> None:
    targets = np.zeros((2, 16, 16))
    predictions = targets.copy()
    predictions[0] = 0.2  # mean squared error 0.04 and 0, together 0.02
    found = metrics.evaluate(predictions, targets)
    assert found["psnr"] == pytest.approx(10 * math.log10(1 / 0.02))


def test_ssim_is_what_the_definition_says_window_by_window() -> None:
    targets = images(1, 14)
    predictions = np.clip(targets + RANDOM.normal(0, 0.1, targets.shape), 0, 1)
    place = np.arange(11) - 5.0
    weights = np.exp(-(place[:, None] ** 2 + place**2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for row in range(4):
        for column in range(4):
            p = predictions[0, row : row + 11, column : column + 11]
            t = targets[0, row : row + 11, column : column + 11]
            mean_p, mean_t = (weights * p).sum(), (weights * t).sum()
            spread_p = (weights * (p - mean_p) ** 2).sum()
            spread_t = (weights * (t - mean_t) ** 2).sum()
            both = (weights * (p - mean_p) * (t - mean_t)).sum()
            values.append(
                (2 * mean_p * mean_t + 1e-4)
                * (2 * both + 9e-4)
                / ((mean_p**2 + mean_t**2 + 1e-4) * (spread_p + spread_t + 9e-4))
            )
    assert metrics.ssim(predictions, targets)[0] == pytest.approx(np.mean(values), rel=1e-9)


def test_the_looks_that_smoothing_adds_show_in_the_enl_ratio() -> None:
    # Means of k independent speckles have k times as many looks.
    speckled = 0.4 * RANDOM.gamma(16, 1 / 16, (4, 64, 64))
    smoother = 0.4 * RANDOM.gamma(64, 1 / 64, (4, 64, 64))
    found = metrics.evaluate(smoother, speckled)
    assert found["enl_ratio"] == pytest.approx(4.0, rel=0.1)
    assert found["enl_deviation"] == pytest.approx(2.0, abs=0.15)
    assert metrics.evaluate(speckled, smoother)["enl_ratio"] == pytest.approx(0.25, rel=0.1)


def test_local_looks_are_those_of_each_window() -> None:
    targets, predictions = images(1, 16), images(1, 16)
    got, wanted = metrics.local_looks(predictions, 1.0 + targets)
    windows = [(r, c) for r in range(2) for c in range(2)]
    known = [(1.0 + targets)[0, r : r + 15, c : c + 15] for r, c in windows]
    np.testing.assert_allclose(wanted, [w.mean() ** 2 / w.var() for w in known])
    known = [predictions[0, r : r + 15, c : c + 15] for r, c in windows]
    np.testing.assert_allclose(got, [w.mean() ** 2 / w.var() for w in known])


def test_enl_looks_at_homogeneous_windows_alone() -> None:
    wild = np.where(RANDOM.uniform(size=(1, 32, 32)) < 0.5, 0.05, 0.95)
    assert math.isnan(metrics.evaluate(wild, wild)["enl_ratio"])
    flat = np.full((1, 32, 32), 0.5)
    assert math.isnan(metrics.evaluate(flat, flat)["enl_ratio"])


def test_edges_are_the_cosine_of_sobel_magnitudes() -> None:
    step = np.zeros((1, 8, 8))
    step[:, :, 4:] = 1.0
    assert metrics.edge_preservation(0.3 * step, step)[0] == pytest.approx(1.0)
    elsewhere = step.transpose(0, 2, 1)
    # Each magnitude has two lines of six; they share four pixels.
    assert metrics.edge_preservation(elsewhere, step)[0] == pytest.approx(4 / 12)
    assert metrics.edge_preservation(0 * step, step)[0] == 0.0
    assert math.isnan(metrics.edge_preservation(step, 0 * step)[0])


@given(st.integers(0, 2**32 - 1), st.integers(15, 24), st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_a_perfect_reconstruction_is_perfect_and_a_worse_one_worse(
    seed: int, size: int, count: int
) -> None:
    random = np.random.default_rng(seed)
    targets = random.uniform(0.3, 0.6, (count, size, size)).astype(np.float32)
    perfect = metrics.evaluate(targets, targets)
    assert perfect["psnr"] == math.inf
    assert perfect["ssim"] == pytest.approx(1.0)
    assert perfect["epi"] == pytest.approx(1.0)
    assert perfect["enl_ratio"] == pytest.approx(1.0)
    noise = random.normal(0, 0.05, targets.shape)
    little, much = (metrics.evaluate(targets + k * noise, targets) for k in (1, 3))
    for name in ("psnr", "ssim", "epi"):
        assert perfect[name] > little[name] > much[name]


def test_images_too_small_for_a_window_leave_its_metric_undefined() -> None:
    found = metrics.evaluate(images(2, 8), images(2, 8))
    assert math.isnan(found["ssim"])
    assert math.isnan(found["enl_ratio"])
    assert math.isfinite(found["psnr"])


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    targets, predictions = images(5), images(5)
    whole = metrics.evaluate(predictions, targets)
    monkeypatch.setattr(metrics, "_CHUNK", 1)
    assert metrics.evaluate(predictions[:, None], targets[:, None]) == pytest.approx(whole)


@pytest.mark.parametrize(("got", "wanted"), [((2, 8, 8), (2, 8, 9)), ((8, 8), (8, 8))])
def test_other_shapes_are_refused(got: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        metrics.evaluate(np.zeros(got), np.zeros(wanted))


def test_the_table_knows_the_kind_and_its_goals() -> None:
    targets = images()
    found = kinds.evaluate("sar", targets, targets + 0.01, {"db_min": 0.0})
    assert set(metrics.GOALS) <= set(found)
    assert kinds.goal("val_psnr", "sar_image") == "maximize"
    assert kinds.goal("enl_deviation", "sar_image") == "minimize"
