"""Measure what known configs gain a search: ``python -m benchmarks.known_start``.

A simulated training has five parameters. Its error is lowest a little away from the values of a
paper, whose own error is 0.103. ``method: bayes`` with its default sampler runs 40 trials, once as
it is and once with ``start: [the paper's values]``. The table shows the best error after 10, 20 and
40 trials: the median over the seeds, and minimum to maximum.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from orchestrator.search.study import Study
from orchestrator.sweepfile.model.spec import Domain, Spec

SPACE = {
    "lr": Domain("log_uniform_values", low=1e-5, high=1e-1),
    "weight_decay": Domain("log_uniform_values", low=1e-6, high=1e-1),
    "dropout": Domain("uniform", low=0.0, high=0.8),
    "warmup": Domain("uniform", low=0.0, high=0.5),
    "width": Domain("int_uniform", low=32, high=1024),
}
PAPER = {"lr": 1e-3, "weight_decay": 1e-4, "dropout": 0.4, "warmup": 0.1, "width": 256}
TRIALS = 40
SHOWN = (10, 20, 40)


def error(values: Mapping[str, Any]) -> float:
    """Return the error at the end of a training."""
    return (
        0.02
        + 0.25 * (math.log10(values["lr"]) + 3.3) ** 2
        + 0.04 * (math.log10(values["weight_decay"]) + 3.7) ** 2
        + 1.5 * (values["dropout"] - 0.25) ** 2
        + 2.0 * (values["warmup"] - 0.15) ** 2
        + 0.05 * (math.log2(values["width"]) - 8.6) ** 2
    )


def run(start: Sequence[Mapping[str, Any]], seed: int) -> list[float]:
    """Run one study that begins with `start`, and return the best error after each trial."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        spec = Spec("benchmark", path, method="bayes", seed=seed)
        study = Study(path, spec.name, spec)
        errors = []
        for number in range(TRIALS):
            proposal = study.ask(SPACE, dict(start[number]) if number < len(start) else None)
            errors.append(error(proposal.params))
            study.report(proposal.number, 1, errors[-1])
            study.tell(proposal.number, "COMPLETE", errors[-1])
        return list(accumulate(errors, min))


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="studies of each kind")
    parser.add_argument("--json", action="store_true", help="print all values instead")
    options = parser.parse_args(arguments)
    kinds = {"without a start": [], "start: [the paper's values]": [PAPER]}
    found = {kind: [run(start, s) for s in range(options.seeds)] for kind, start in kinds.items()}
    if options.json:
        print(json.dumps(found))
        return 0
    print(f"The paper's error: {error(PAPER):.3f}\n")
    print(f"| best error after | {' | '.join(map(str, SHOWN))} trials |")
    print(f"|---|{'---|' * len(SHOWN)}")
    for kind, curves in found.items():
        columns = [[curve[count - 1] for curve in curves] for count in SHOWN]
        cells = [f"{statistics.median(c):.3f} ({min(c):.3f} to {max(c):.3f})" for c in columns]
        print(f"| {kind} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
