"""What the preset `paper` of the EDC trainer takes: RAM, time of a step, size of a checkpoint.

::

    python -m benchmarks.edc_paper              # full size: 6 GiB of RAM, 3 GiB of disk, minutes

The network and the data have their full size. Only the curves are plain exponential decays, as
simulating 6,000 rooms takes minutes and no other amount of memory; how long one room takes is
measured apart.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

STEPS = 3


def main() -> None:
    """Measure, and print one line for each part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()

    import torch

    from trainers.base import build
    from trainers.edc import rooms
    from trainers.edc.config import PRESETS, Config
    from trainers.edc.data import load
    from trainers.edc.train import Training

    torch.set_num_threads(asked.threads)
    config = build(Config, PRESETS, {"preset": "paper"})
    began = time.process_time()
    rooms.simulate(rooms=2, cases=10, rate_hz=config.rate_hz, duration_s=config.duration_s, seed=0)
    say("simulating one curve", f"{(time.process_time() - began) / 20:.3f} s of a core")

    run: Any = SimpleNamespace(device=asked.device, directory=Path(), threads=asked.threads)
    with mock.patch("trainers.edc.data.simulated", decays):
        data = load(config, seed=0, data_fraction=1.0)
    say("reading and splitting", f"{data.train_curves.shape} for training")
    training = Training(config, run, data)
    say("setting up", f"{training.facts()['parameters']:,} parameters")
    training.model.train()
    for step in range(STEPS):
        began = time.perf_counter()
        training._step(torch.arange(step * config.batch_size, (step + 1) * config.batch_size))
        if asked.device == "cuda":
            torch.cuda.synchronize()
        say("one step", f"{time.perf_counter() - began:.2f} s")
    training.best.update(1.0, 1, training.model)
    say("keeping the best state", "")
    with tempfile.NamedTemporaryFile() as stream:
        torch.save(training.state_dict(), stream)
        say("saving a checkpoint", f"{stream.tell() / 2**30:.2f} GiB")
    if asked.device == "cuda":
        print(
            f"reserved on the GPU: {torch.cuda.max_memory_reserved() / 2**30:.2f} GiB at the peak"
        )


def decays(*, rooms: int, cases: int, rate_hz: float, duration_s: float, **_: Any) -> Any:
    """Return exponential decays of random lengths in place of simulated rooms."""
    from trainers.edc.roomset import RoomSet

    random = np.random.default_rng(0)
    count, points = rooms * cases, round(rate_hz * duration_s)
    features = random.uniform(0.1, 0.9, (count, 16)).astype(np.float32)
    at_s = np.arange(points, dtype=np.float32) / np.float32(rate_hz)
    curves = np.empty((count, points), np.float32)
    for row, t60_s in enumerate(random.uniform(0.2, 1.5, count)):
        curves[row] = np.exp(at_s * np.float32(-13.8 / t60_s))
    return RoomSet(features, curves, np.repeat(np.arange(rooms), cases), rate_hz)


def say(what: str, found: str) -> None:
    """Print what was found, with the most RAM of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{what:24}  {found:36}  {peak:.2f} GiB of RAM at the peak", flush=True)


if __name__ == "__main__":
    main()
