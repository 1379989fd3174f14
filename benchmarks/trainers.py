"""Where the time of a training step goes, for each trainer that ships.

    python -m benchmarks.trainers [NAME ...] [--json FILE]

One training of each trainer's small preset runs for some epochs in this process, with one thread,
while PyTorch's own entry points are timed from outside: the forward pass (calls of the outermost
`nn.Module`), the backward pass, clipping, the optimiser, evaluation (forward passes without
gradients), and what the run is handed (reports, checkpoints, predictions). What is left is data and
Python. Times are processor time, which others on the machine hardly change. Nothing in the trainers
is changed for it, and a trainer of your own can be named too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from trainers.loading import load_trainer
from trainers.recording import RecordingRun

# Epochs (or what a trainer's budget is counted in) that are enough to see where time goes.
SETTINGS: dict[str, dict[str, Any]] = {
    "edc": {"epochs": 8},
    "eeg": {"pretrain_epochs": 1},
    "sar": {"epochs": 2},
    "signal": {"epochs": 2},
    "speech": {"batches": 40, "eval_every": 20},
}
PARTS = ("forward", "backward", "clipping", "optimiser", "evaluation", "handing over", "the rest")


class Clock:
    """Adds up the time of nested parts; time inside an inner part is not the outer's.

    Attributes:
        seconds: part to the processor time that was spent in it alone.
        calls: part to how often it was entered.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self._open: list[tuple[str, float]] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time within as `name`."""
        self._settle()
        self._open.append((name, time.process_time()))
        self.calls[name] = self.calls.get(name, 0) + 1
        try:
            yield
        finally:
            self._settle()
            self._open.pop()
            if self._open:
                outer, _ = self._open[-1]
                self._open[-1] = (outer, time.process_time())

    def inside(self, *names: str) -> bool:
        """Tell whether one of the parts is open."""
        return any(name in names for name, _ in self._open)

    def _settle(self) -> None:
        if self._open:
            name, since = self._open[-1]
            now = time.process_time()
            self.seconds[name] = self.seconds.get(name, 0.0) + now - since
            self._open[-1] = (name, now)


class TimedRun(RecordingRun):
    """A run whose files are counted as handing over, and which keeps no checkpoint."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        super().__init__(directory)
        self._clock = clock

    def report(self, step: int, **metrics: float) -> None:
        """Count it."""
        with self._clock.part("handing over"):
            super().report(step, **metrics)

    def checkpoint(self, state: Mapping[str, Any]) -> None:
        """Write it, as the engine does, and forget it."""
        with self._clock.part("handing over"):
            torch.save(dict(state), self.directory / "checkpoint.pt")

    def save_predictions(
        self, predictions: Any, targets: Any, split: str = "test", groups: Any = None
    ) -> None:
        """Count it."""
        with self._clock.part("handing over"):
            super().save_predictions(predictions, targets, split)


@contextmanager
def timed(clock: Clock) -> Iterator[None]:
    """Time PyTorch's entry points while the block runs."""
    with ExitStack() as stack:

        def wrap(owner: Any, name: str, part: str) -> None:
            original = getattr(owner, name)

            def timed_call(*args: Any, **kwargs: Any) -> Any:
                if clock.inside(part):
                    return original(*args, **kwargs)
                with clock.part(part):
                    return original(*args, **kwargs)

            setattr(owner, name, timed_call)
            stack.callback(setattr, owner, name, original)

        forward = torch.nn.Module.__call__

        def timed_forward(module: Any, *args: Any, **kwargs: Any) -> Any:
            if clock.inside("forward", "evaluation"):
                return forward(module, *args, **kwargs)
            with clock.part("forward" if torch.is_grad_enabled() else "evaluation"):
                return forward(module, *args, **kwargs)

        torch.nn.Module.__call__ = timed_forward  # type: ignore[method-assign]
        stack.callback(setattr, torch.nn.Module, "__call__", forward)
        wrap(torch.Tensor, "backward", "backward")
        wrap(torch.autograd, "backward", "backward")
        for name in ("clip_grad_norm_", "clip_grads_with_norm_", "get_total_norm"):
            wrap(torch.nn.utils, name, "clipping")
        for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
            wrap(kind, "step", "optimiser")
        wrap(torch.optim.Optimizer, "zero_grad", "optimiser")
        yield


def profile(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the time of one training of the trainer `name` went.

    Args:
        name: the trainer.
        values: its parameters.
    """
    trainer = load_trainer(name, Path())
    clock = Clock()
    with tempfile.TemporaryDirectory(prefix="sweep-profile-") as folder:
        warm = RecordingRun(Path(folder))  # caches are filled, kernels are chosen
        trainer.train(trainer.make_config({**values, **_shortest(trainer.parameters)}), warm)
        run = TimedRun(Path(folder), clock)
        began = time.process_time()
        with timed(clock), clock.part("the rest"):
            trainer.train(trainer.make_config(values), run)
        whole = time.process_time() - began
    steps = clock.calls.get("backward", 0)
    return {
        "trainer": name,
        "values": dict(values),
        "seconds": whole,
        "reports": len(run.reports),
        "steps": steps,
        "step_ms": 1000 * _training(clock) / steps if steps else None,
        "share": {part: clock.seconds.get(part, 0.0) / whole for part in PARTS},
        "parameters": run.facts.get("parameters"),
    }


def _shortest(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return next(({name: 1} for name in ("batches", "epochs") if name in parameters), {})


def _training(clock: Clock) -> float:
    return sum(clock.seconds.get(part, 0.0) for part in PARTS[:4])


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the figures as a table in Markdown."""
    heads = ["trainer", "parameters", "steps", "ms a step", *PARTS]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for item in found:
        shares = [f"{100 * item['share'][part]:.0f} %" for part in PARTS]
        step = "" if item["step_ms"] is None else f"{item['step_ms']:.2f}"
        cells = [item["trainer"], f"{item['parameters'] or 0:,}", f"{item['steps']:,}", step]
        lines.append(f"| {' | '.join([*cells, *shares])} |")
    return "\n".join(lines)


def machine() -> str:
    """Return what the figures were taken on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in _lines(Path("/proc/cpuinfo"))
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"{model}, one thread, load {load:.1f}, Python {platform.python_version()}, "
        f"PyTorch {torch.__version__}"
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def main(arguments: Sequence[str] | None = None) -> None:
    """Profile the trainers that are named, or all that ship."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainers")
    parser.add_argument("names", nargs="*", help="trainers; by default all that ship")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there as well")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    from orchestrator.sweepfile.trainer_schemas import trainer_names

    found = []
    for name in options.names or trainer_names():
        print(f"{name} …", file=sys.stderr, flush=True)
        found.append(profile(name, SETTINGS.get(name, {})))
    print(f"{machine()}\n\n{table(found)}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
