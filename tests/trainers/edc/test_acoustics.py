"""Acoustic parameters against closed forms and against a plain per-curve implementation."""

from __future__ import annotations

import csv
import math
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from tests.shared_data import shared_data
from trainers.edc import acoustics
from trainers.edc.acoustics import PARAMETERS, decay_parameters

DECAY = math.log(1e6)  # 60 dB as a natural logarithm of energy, 13.8155


def exponential(t60_s: list[float] | np.ndarray, rate_hz: float, n: int) -> np.ndarray:
    time = np.arange(n) / rate_hz
    return np.exp(-DECAY * time / np.asarray(t60_s, dtype=float)[:, None])


def plain(curve: np.ndarray, rate_hz: float, reference: float | None = None) -> dict[str, float]:
    """Return the parameters of one curve by walking along it, sample by sample."""
    values = [float(value) for value in curve]
    zero = values[0] if reference is None else reference
    if not all(map(math.isfinite, values)) or not math.isfinite(zero) or zero <= 0:
        return dict.fromkeys(PARAMETERS, math.nan)

    def level(index: int) -> float:
        share = values[index] / zero
        return 10 * math.log10(share) if share > 1e-12 else -120.0

    def crossing(down: float) -> float:
        limit = zero * 10 ** (-down / 10)
        for index, value in enumerate(values):
            if value <= limit:
                if index == 0:
                    return 0.0 if value >= limit else math.nan
                above, below = level(index - 1), level(index)
                return index - 1 + (above + down) / (above - below)
        return math.nan

    place = 0.05 * rate_hz
    left, part = math.floor(place + 1e-9), max(0.0, place - math.floor(place + 1e-9))
    if left + (1 if part > 1e-6 else 0) < len(values):
        late_share = values[left]
        if part > 1e-6:
            late_share += part * (values[left + 1] - values[left])
        late_share /= zero
    else:
        late_share = math.nan
    c50 = math.nan
    if 0 < late_share < 1:
        c50 = 10 * (math.log10(1 - late_share) - math.log10(late_share))
    cut = int(place + 1e-9)
    early, late = math.fsum(values[:cut]), math.fsum(values[cut:])
    edcsum = math.nan
    if early > 0 and late > 0:
        edcsum = 10 * (math.log10(early) - math.log10(late))
    return {
        "edt_s": 6 * crossing(10) / rate_hz,
        "t20_s": 3 * (crossing(25) - crossing(5)) / rate_hz,
        "c50_db": c50,
        "c50_edcsum_db": edcsum,
    }


@pytest.mark.parametrize(("rate_hz", "n"), [(500.0, 1000), (48_000.0, 96_000), (137.0, 400)])
def test_exponential_decay_is_exact_at_any_rate(rate_hz: float, n: int) -> None:
    t60 = np.array([0.1, 0.3, 0.77, 1.5, 3.0])
    found = decay_parameters(exponential(t60, rate_hz, n), rate_hz)
    np.testing.assert_allclose(found["edt_s"], t60, rtol=1e-9)
    np.testing.assert_allclose(found["t20_s"], t60, rtol=1e-9)
    if (0.05 * rate_hz).is_integer():
        clarity = 10 * np.log10(np.exp(DECAY * 0.05 / t60) - 1)
        np.testing.assert_allclose(found["c50_db"], clarity, rtol=1e-9)


def test_ratio_of_sums_in_closed_form() -> None:
    n, rate_hz, t60 = 1000, 500.0, np.array([0.2, 0.6, 1.4])
    q = np.exp(-DECAY / t60 / rate_hz)  # geometric series
    expected = 10 * np.log10((1 - q**25) / (q**25 - q**n))
    found = decay_parameters(exponential(t60, rate_hz, n), rate_hz)
    np.testing.assert_allclose(found["c50_edcsum_db"], expected, rtol=1e-9)
    assert np.all(np.abs(found["c50_edcsum_db"] - found["c50_db"]) < 0.01)  # only for this shape


def test_straight_line_with_a_knee() -> None:
    # 0 to −12 dB in 0.1 s, then 0.02 dB per ms: every crossing is known.
    rate_hz = 1000.0
    time = np.arange(2000) / rate_hz
    level = np.where(time < 0.1, -120 * time, -12 - 20 * (time - 0.1))
    found = decay_parameters(10 ** (level[None] / 10), rate_hz)
    assert found["edt_s"][0] == pytest.approx(6 * 10 / 120, rel=1e-9)
    assert found["t20_s"][0] == pytest.approx(3 * ((0.1 + 13 / 20) - 5 / 120), rel=1e-9)
    share = 10 ** (-120 * 0.05 / 10)
    assert found["c50_db"][0] == pytest.approx(10 * math.log10((1 - share) / share), rel=1e-9)


def test_double_slope() -> None:
    """Two coupled rooms: the crossings solve an equation, found here by bisection."""
    rate_hz, strong, weak, part = 48_000.0, DECAY / 0.3, DECAY / 2.0, 0.05

    def energy(t: float) -> float:
        return (1 - part) * math.exp(-strong * t) + part * math.exp(-weak * t)

    def when(down: float) -> float:
        low, high = 0.0, 4.0
        for _ in range(100):
            middle = (low + high) / 2
            low, high = (middle, high) if energy(middle) > 10 ** (-down / 10) else (low, middle)
        return low

    curve = np.array([[energy(t) for t in np.arange(96_000) / rate_hz]])
    found = decay_parameters(curve, rate_hz)
    assert found["edt_s"][0] == pytest.approx(6 * when(10), abs=1e-7)
    assert found["t20_s"][0] == pytest.approx(3 * (when(25) - when(5)), abs=1e-7)
    assert found["t20_s"][0] > 2 * found["edt_s"][0]


@given(
    t60=st.lists(st.floats(0.05, 1.9), min_size=1, max_size=5),
    factor=st.sampled_from([0.5, 2.0, 3.7]),
)
def test_stretching_time_stretches_edt_and_t20(t60: list[float], factor: float) -> None:
    curves = exponential(t60, 500.0, 1000) ** 1.1
    once = decay_parameters(curves, 500.0)
    stretched = decay_parameters(curves, 500.0 / factor)
    for name in ("edt_s", "t20_s"):
        np.testing.assert_allclose(stretched[name], factor * once[name], rtol=1e-9)


@given(scale=st.floats(1e-6, 1e6), t60=st.floats(0.05, 1.9))
def test_scale_does_not_matter_unless_a_reference_is_given(scale: float, t60: float) -> None:
    curve = exponential([t60], 500.0, 1000)
    once, scaled = decay_parameters(curve, 500.0), decay_parameters(scale * curve, 500.0)
    for name in PARAMETERS:
        np.testing.assert_allclose(scaled[name], once[name], rtol=1e-6, atol=1e-9)


def test_against_a_reference_a_wrong_level_counts() -> None:
    curve = exponential([0.6], 500.0, 1000)
    halved = decay_parameters(0.5 * curve, 500.0, reference=1.0)
    # 3.01 dB lower: −10 dB is reached 3.01 dB earlier, T20 is the same.
    assert halved["edt_s"][0] == pytest.approx(6 * 0.6 * (10 - 10 * math.log10(2)) / 60)
    assert halved["t20_s"][0] == pytest.approx(0.6)
    assert halved["c50_db"][0] > decay_parameters(curve, 500.0)["c50_db"][0]


noisy = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.integers(2, 60)),
    elements=st.one_of(
        st.floats(-0.5, 1.5),
        st.sampled_from([0.0, 1.0, 0.1, 0.003, 1e-30, -1e-9, math.nan, math.inf, -math.inf]),
    ),
)


@settings(max_examples=300)
@example(curves=np.array([[5e-324, 5e-324]]), rate_hz=20.0, own=False)
@given(curves=noisy, rate_hz=st.sampled_from([20.0, 100.0, 110.0, 333.0]), own=st.booleans())
def test_equals_a_plain_implementation_on_anything(
    curves: np.ndarray, rate_hz: float, own: bool
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decay_parameters(curves, rate_hz, reference=None if own else 1.0)
    for row, curve in enumerate(curves):
        expected = plain(curve, rate_hz, None if own else 1.0)
        for name in PARAMETERS:
            assert found[name][row] == pytest.approx(
                expected[name], rel=1e-6, abs=1e-9, nan_ok=True
            ), (name, row)


def test_what_is_never_reached_is_nan_and_silent() -> None:
    curves = np.array([np.ones(100), np.full(100, 0.2), np.zeros(100), np.full(100, np.nan)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decay_parameters(curves, 500.0, reference=1.0)
    assert np.isnan(found["edt_s"]).all()
    assert np.isnan(found["t20_s"]).all()
    assert np.isnan(found["c50_db"]).tolist() == [True, False, True, True]
    assert all(np.isnan(v).all() for v in decay_parameters(-curves[:3], 500.0).values())


def test_a_curve_shorter_than_50_ms_has_no_clarity() -> None:
    found = decay_parameters(exponential([0.02], 500.0, 20), 500.0)
    assert math.isnan(found["c50_db"][0])
    assert math.isnan(found["c50_edcsum_db"][0])
    assert found["t20_s"][0] == pytest.approx(0.02)


def test_chunks_and_precision_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    curves = exponential(np.linspace(0.1, 1.5, 23), 500.0, 1000)
    whole = decay_parameters(curves, 500.0)
    monkeypatch.setattr(acoustics, "_CHUNK", 3500)
    parts = decay_parameters(curves, 500.0)
    single = decay_parameters(curves.astype(np.float32), 500.0)
    for name in PARAMETERS:
        np.testing.assert_array_equal(parts[name], whole[name])
        np.testing.assert_allclose(single[name], whole[name], rtol=1e-5, atol=1e-5)


def test_more_axes_are_taken_as_more_curves() -> None:
    curves = exponential(np.linspace(0.1, 1.5, 6), 500.0, 1000)
    folded = decay_parameters(curves.reshape(3, 2, 1000), 500.0)
    np.testing.assert_array_equal(folded["t20_s"], decay_parameters(curves, 500.0)["t20_s"])


@pytest.mark.parametrize("rate_hz", [0, -1, math.nan, math.inf, "fast", None])
def test_impossible_rates(rate_hz: object) -> None:
    with pytest.raises(ValueError, match="rate_hz must be a number of samples per second above 0"):
        decay_parameters(np.ones((2, 5)), rate_hz)  # type: ignore[arg-type]


@pytest.mark.parametrize("curves", [np.ones(5), np.ones((5, 1)), np.array([["a", "b"]])])
def test_arrays_that_are_no_curves(curves: np.ndarray) -> None:
    with pytest.raises(ValueError, match="decay curves must be"):
        decay_parameters(curves, 500.0)


def test_real_curves_agree_with_their_index() -> None:
    """The index was computed at 44.1 kHz; the curves stand at 500 Hz."""
    curves = np.load(shared_data("edc", "edc_resimulated_2ms.npz"))["edc"]
    with shared_data("edc", "edc_resimulated_index.csv").open() as stream:
        index = list(csv.DictReader(stream))
    found = decay_parameters(curves, 500.0)
    t20 = np.array([float(row["sim_t20_s"]) for row in index])
    edcsum = np.array([float(row["sim_c50_edcsum_db"]) for row in index])
    # The index's C50 counts its 50 ms from the arrival of the direct sound, the curve from t = 0.
    clarity = np.array([float(row["sim_c50_db"]) for row in index])
    assert not any(np.isnan(values).any() for values in found.values())
    assert np.abs(found["t20_s"] - t20).max() < 0.01
    assert np.abs(found["c50_edcsum_db"] - edcsum).mean() < 0.15
    assert np.corrcoef(found["c50_db"], clarity)[0, 1] > 0.99
    assert np.all(found["c50_db"] < clarity)


def test_sums_of_float32_curves_are_float64() -> None:
    curves = exponential(np.array([0.3, 1.1, 2.7]), 48_000.0, 96_000).astype(np.float32)
    found = decay_parameters(curves, 48_000.0)["c50_edcsum_db"]
    wide = decay_parameters(curves.astype(np.float64), 48_000.0)["c50_edcsum_db"]
    np.testing.assert_allclose(found, wide, rtol=1e-12)
