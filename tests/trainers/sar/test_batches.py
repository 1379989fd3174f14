import threading
import time

import numpy as np
import pytest
import torch

from trainers.sar.batches import DEPTH, ahead, turned


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "patches"]


def test_batches_come_in_their_order_and_leave_no_thread() -> None:
    found = [int(item) for item in ahead(torch.tensor, list(range(20)))]
    assert found == list(range(20))
    assert threads() == []


def test_the_thread_reads_ahead_but_not_too_far() -> None:
    made: list[int] = []

    def make(item: int) -> torch.Tensor:
        made.append(item)
        return torch.tensor(item)

    found = ahead(make, list(range(100)))
    next(found)
    deadline = time.monotonic() + 5
    while len(made) < DEPTH + 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    # One is here, some wait in the queue, one may wait to be put there.
    assert DEPTH + 1 <= len(made) <= DEPTH + 2
    assert threads() == ["patches"]
    found.close()
    assert threads() == []


def test_an_error_is_raised_where_its_batch_would_have_come() -> None:
    def make(item: int) -> torch.Tensor:
        if item == 3:
            raise OSError("the disk is gone")
        return torch.tensor(item)

    found = ahead(make, list(range(9)))
    assert [int(next(found)) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(found)
    assert threads() == []


def test_images_are_turned_into_all_eight_positions_and_no_other() -> None:
    image = torch.arange(9.0).reshape(1, 1, 3, 3)
    positions = {
        tuple(np.rot90(side, turns).ravel().tolist())
        for side in (image[0, 0].numpy(), image[0, 0].numpy().T)
        for turns in range(4)
    }
    found = turned(image.expand(200, 1, 3, 3), torch.Generator().manual_seed(0))
    assert {tuple(item.ravel().tolist()) for item in found} == positions
    again = turned(image.expand(200, 1, 3, 3), torch.Generator().manual_seed(0))
    assert torch.equal(found, again)
