"""Measure what gradient norms cost a training step: ``python -m benchmarks.watching``.

Two networks, a small one as in a sweep and a wider one, train with Adam on one device. A step is
timed plain, with `trainers.common.gradients.GradientWatch`, with the norm that clipping takes
anyway, and with the plain way that reads the norm on the host at every step. Figures are medians
over blocks of steps; the variants take turns, so that a change of pace affects all of them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from trainers.common.gradients import GradientWatch

NETWORKS = {"small": (64, 128, 4), "wide": (256, 1024, 6)}
"""Name to inputs, width and depth."""

Step = Callable[[], None]


def network(inputs: int, width: int, depth: int) -> nn.Module:
    """Return a perceptron with one output."""
    layers: list[nn.Module] = [nn.Linear(inputs, width), nn.ReLU()]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 1))


def variants(inputs: int, width: int, depth: int, device: torch.device) -> dict[str, Step]:
    """Return one training step of each kind, each with its own network."""
    found: dict[str, Step] = {}
    for name in ("plain", "GradientWatch", "clipping", "norm read at each step"):
        torch.manual_seed(0)
        model = network(inputs, width, depth).to(device)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
        watch = GradientWatch(model.parameters(), device)
        batch = torch.randn(128, inputs, device=device)
        target = torch.randn(128, 1, device=device)

        def step(
            name: str = name,
            model: nn.Module = model,
            optimizer: torch.optim.Optimizer = optimizer,
            watch: GradientWatch = watch,
            batch: torch.Tensor = batch,
            target: torch.Tensor = target,
        ) -> None:
            optimizer.zero_grad(set_to_none=True)
            (model(batch) - target).square().mean().backward()
            if name == "GradientWatch":
                watch.after_backward()
            elif name == "clipping":
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9)
            elif name == "norm read at each step":
                gradients = [p.grad for p in model.parameters() if p.grad is not None]
                float(torch.nn.utils.get_total_norm(gradients))
            optimizer.step()

        found[name] = step
    return found


def measure(
    steps: dict[str, Step], device: torch.device, blocks: int, length: int
) -> dict[str, float]:
    """Return the median microseconds of each kind of step."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    # On a CPU only the work of this process counts, whatever else the machine does.
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    for block in range(blocks + 1):
        for name, step in steps.items():
            if device.type == "cuda":
                torch.cuda.synchronize()
            began = clock()
            for _ in range(length):
                step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if block:  # the first block warms up
                taken[name].append((clock() - began) / length * 1e6)
    return {name: statistics.median(times) for name, times in taken.items()}


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--length", type=int, default=50, help="steps in a block")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    torch.set_num_threads(1)
    print("| network | parameters | step | µs | over plain |\n|---|---|---|---|---|")
    for name, shape in NETWORKS.items():
        steps = variants(*shape, device)
        count = sum(item.numel() for item in network(*shape).parameters())
        taken = measure(steps, device, options.blocks, options.length)
        for kind, microseconds in taken.items():
            more = microseconds / taken["plain"] - 1
            print(f"| {name} | {count:,} | {kind} | {microseconds:.0f} | {more:+.1%} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
