import pytest
import torch

from trainers.base import build
from trainers.edc.config import PRESETS, Config
from trainers.edc.model import FEATURES, HybridV2, Lstm, count_parameters, make_model


def config(**values: object) -> Config:
    return build(Config, PRESETS, values)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("hybrid_v2", 197_885_568),
        # LSTM 4·128·(16 + 128 + 2), FC 128·2048 + 2048, out 2048·96000 + 96000
        ("lstm", 74_752 + 264_192 + 196_704_000),
    ],
)
def test_the_paper_preset_has_the_published_number_of_parameters(model: str, expected: int) -> None:
    with torch.device("meta"):
        network = make_model(config(preset="paper", model=model), 96_000)
    assert count_parameters(network) == expected


@pytest.mark.parametrize(("model", "kind"), [("hybrid_v2", HybridV2), ("lstm", Lstm)])
@pytest.mark.parametrize("curves", [1, 5])
def test_features_become_curves(model: str, kind: type, curves: int) -> None:
    network = make_model(config(model=model), 40)
    assert isinstance(network, kind)
    assert network(torch.randn(curves, FEATURES)).shape == (curves, 40)


@pytest.mark.parametrize("model", ["hybrid_v2", "lstm"])
def test_every_parameter_learns(model: str) -> None:
    torch.manual_seed(0)
    network = make_model(config(model=model), 40)
    network(torch.randn(16, FEATURES)).square().mean().backward()
    for name, item in network.named_parameters():
        assert item.grad is not None, name
        # A sequence of length one never uses the hidden state of the step before.
        if name != "lstm.weight_hh_l0":
            assert item.grad.abs().sum() > 0, name


@pytest.mark.parametrize("model", ["hybrid_v2", "lstm"])
def test_dropout_acts_in_training_alone(model: str) -> None:
    torch.manual_seed(0)
    network = make_model(config(model=model, dropout=0.5), 40)
    features = torch.randn(4, FEATURES)
    assert not torch.equal(network(features), network(features))
    network.eval()
    torch.testing.assert_close(network(features), network(features), rtol=0, atol=0)


def test_both_branches_of_the_hybrid_reach_the_output() -> None:
    torch.manual_seed(0)
    network = make_model(config(dropout=0.0), 40).eval()
    features = torch.randn(4, FEATURES)
    before = network(features)
    for branch in ("conv_out", "lstm_out"):
        layer = getattr(network, branch)
        kept = layer.bias.detach().clone()
        with torch.no_grad():
            layer.bias += 1.0
            assert not torch.allclose(network(features), before)
            layer.bias.copy_(kept)
