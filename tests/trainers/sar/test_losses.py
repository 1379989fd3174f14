import numpy as np
import pytest
import torch

from trainers.sar import metrics
from trainers.sar.losses import ImageLoss, Similarity

RANDOM = np.random.default_rng(1)


def pair(count: int = 3, height: int = 16, width: int = 24) -> tuple[np.ndarray, np.ndarray]:
    targets = RANDOM.uniform(0, 1, (count, height, width))
    return np.clip(targets + RANDOM.normal(0, 0.1, targets.shape), 0, 1), targets


def tensor(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images[:, None]).float()


def test_similarity_in_torch_is_the_metric() -> None:
    predicted, targets = pair()
    found = Similarity()(tensor(predicted), tensor(targets))
    np.testing.assert_allclose(found.numpy(), metrics.ssim(predicted, targets), atol=1e-5)


def test_the_loss_weighs_error_and_dissimilarity() -> None:
    predicted, targets = pair()
    error = np.square(predicted - targets).mean()
    similar = metrics.ssim(predicted, targets).mean()
    loss, found_error, found_similar = ImageLoss(0.7, 0.3)(tensor(predicted), tensor(targets))
    assert found_error.item() == pytest.approx(error, rel=1e-5)
    assert found_similar.item() == pytest.approx(similar, rel=1e-4)
    assert loss.item() == pytest.approx(0.7 * error + 0.3 * (1 - similar), rel=1e-5)


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)])
def test_following_the_loss_leads_to_the_target(weights: tuple[float, float]) -> None:
    _, targets = pair(1, 16, 16)
    predicted = torch.full((1, 1, 16, 16), 0.5, requires_grad=True)
    loss = ImageLoss(*weights)
    optimizer = torch.optim.Adam([predicted], lr=0.02)
    first = loss(predicted, tensor(targets))[0].item()
    for _ in range(150):
        optimizer.zero_grad()
        loss(predicted, tensor(targets))[0].backward()
        optimizer.step()
    assert loss(predicted, tensor(targets))[0].item() < 0.2 * first


def test_flat_images_have_a_finite_gradient() -> None:
    flat = torch.zeros(1, 1, 16, 16, requires_grad=True)
    ImageLoss(0.5, 0.5)(flat, torch.zeros(1, 1, 16, 16))[0].backward()
    assert flat.grad is not None
    assert torch.isfinite(flat.grad).all()
