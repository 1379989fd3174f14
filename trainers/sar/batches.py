"""Batches of patches, prefetched by a thread while the network computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.sar.data import Patches

DEPTH = 2
"""Maximum number of prefetched batches."""

_END = object()


def batches(
    patches: Patches, rows: Sequence[NDArray[np.int64]], device: torch.device
) -> Generator[Tensor]:
    """Yield the patches [n, 1, size, size] of each of `rows`, on the device.

    A thread prepares patches that must be read from files or copied to a GPU. It ends with the last
    batch, or when the iterator is closed or garbage-collected. There are no worker processes that a
    trial could leave behind.

    Args:
        patches: patches of one split.
        rows: row numbers of each batch.
        device: device of the batches.
    """
    pinned = device.type == "cuda"

    def ready(chosen: NDArray[np.int64]) -> Tensor:
        images = torch.from_numpy(patches.batch(chosen)).unsqueeze(1)
        return images.pin_memory() if pinned else images

    if patches.resident and not pinned:
        for chosen in rows:
            yield ready(chosen)
        return
    for images in ahead(ready, rows):
        yield images.to(device, non_blocking=True)


def ahead(make: Callable[[Any], Tensor], items: Sequence[Any]) -> Generator[Tensor]:
    """Yield ``make(item)`` for each item, made by a thread up to `DEPTH` items ahead.

    Exceptions of `make` are raised here, at their item. Closing the iterator ends the thread.
    """
    made: queue.Queue[Any] = queue.Queue(maxsize=DEPTH)
    closed = threading.Event()

    def put(thing: Any) -> bool:
        while not closed.is_set():
            try:
                made.put(thing, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(make(item)):
                    return
        except BaseException as error:  # re-raised by the consumer of the batch
            put(error)
        else:
            put(_END)

    thread = threading.Thread(target=work, name="patches", daemon=True)
    thread.start()
    try:
        while (thing := made.get()) is not _END:
            if isinstance(thing, BaseException):
                raise thing
            yield thing
    finally:
        closed.set()
        thread.join()


def turned(images: Tensor, random: torch.Generator) -> Tensor:
    """Return the images [N, 1, H, H], each in a random one of eight orientations.

    Args:
        images: square.
        random: generator on the CPU, so that a seed has the same effect on every device.
    """
    chosen = torch.randint(2, (3, len(images)), generator=random).bool().to(images.device)
    across, down, transposed = chosen[:, :, None, None, None]
    images = torch.where(across, images.flip(-1), images)
    images = torch.where(down, images.flip(-2), images)
    return torch.where(transposed, images.transpose(-1, -2), images)
