import numpy as np
import pytest

from orchestrator import metrics
from trainers.signal.data import make_mixture
from trainers.signal.metrics import FREQUENCIES_HZ, GOALS, evaluate


def test_errors_of_each_frequency_and_their_mean() -> None:
    targets = np.zeros((4, 50))
    predictions = np.stack([np.full(50, value) for value in (0.0, 0.1, 0.2, 0.4)])
    found = evaluate(predictions, targets)
    assert found == pytest.approx(
        {"mse": 0.0525, "mse_1hz": 0.0, "mse_3hz": 0.01, "mse_5hz": 0.04, "mse_7hz": 0.16}
    )
    assert set(found) == set(GOALS)
    assert {f"mse_{frequency}hz" for frequency in FREQUENCIES_HZ} < set(found)


def test_who_always_says_zero_has_the_variance_of_a_sine() -> None:
    signal = make_mixture(
        split="test", seed=0, rate_hz=1000.0, duration_s=1.0, phase_noise=0.0, amplitude_noise=0.0
    )
    found = evaluate(np.zeros_like(signal.targets), signal.targets)
    assert found["mse"] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("shape", [(4,), (3, 50), (4, 50, 1)])
def test_arrays_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must"):
        evaluate(np.zeros(shape), np.zeros(shape))
    with pytest.raises(ValueError, match="must both be"):
        evaluate(np.zeros((4, 50)), np.zeros((4, 49)))


def test_the_table_knows_the_kind() -> None:
    targets = np.linspace(-1, 1, 80).reshape(4, 20)
    found = metrics.evaluate("sine_mixture", targets + 0.1, targets, {})
    assert found["mse"] == pytest.approx(0.01)
    assert found["rmse"] == pytest.approx(0.1)
    assert metrics.goal("val_mse_3hz", "sine_mixture") == "minimize"
    assert metrics.resolve_kind("signal") == "sine_mixture"
