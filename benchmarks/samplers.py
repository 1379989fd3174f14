"""Measure what a sampler learns from diverged trials: ``python -m benchmarks.samplers``.

A simulated training has a learning rate, 1e-5 to 1e-1 on a logarithmic scale, and a dropout, 0 to
0.8. Above 1e-3, in half of the search space, it diverges at its fifth report, after four good ones;
otherwise its error is lowest at a rate of 3e-4 and a dropout of 0.3. Each sampler that `sweep`
offers proposes 30 trials. The study records a diverged one in one of three ways:

- PRUNED, with its last finite report, as a trial that a pruner stopped;
- FAIL;
- LOST, as `sweep` records it: complete, with the worst value that the study has.

The table counts the proposals among trials 16 to 30 that diverge, out of 15: the fewer, the better
the sampler avoids them. Samplers that learn nothing (random, qmc) show what half the range means.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from pathlib import Path

from orchestrator.search.study import Study
from orchestrator.sweepfile.model.course import Sampler
from orchestrator.sweepfile.model.spec import Domain, Spec

SAMPLERS = ("tpe", "gp", "cmaes", "qmc", "random")
TOLD = ("PRUNED", "FAIL", "LOST")
SPACE = {
    "lr": Domain("log_uniform_values", low=1e-5, high=1e-1),
    "dropout": Domain("uniform", low=0.0, high=0.8),
}
EDGE = 1e-3
TRIALS, LATE = 30, 15


def error(lr: float, dropout: float) -> float:
    """Return the error at the end of a training that does not diverge."""
    return 0.1 + 0.05 * (math.log10(lr) + 3.5) ** 2 + 0.2 * (dropout - 0.3) ** 2


def run(sampler: str, told: str, seed: int) -> tuple[int, float]:
    """Run one study and return its late diverging proposals and the best error it found."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        spec = Spec("benchmark", path, method="bayes", seed=seed, sampler=Sampler(sampler))
        study = Study(path, spec.name, spec)
        late, best = 0, math.inf
        for number in range(TRIALS):
            proposal = study.ask(SPACE)
            lr, dropout = proposal.params["lr"], proposal.params["dropout"]
            end = error(min(lr, EDGE), dropout)
            diverges = lr > EDGE
            for step in range(1, 5 if diverges else 11):
                study.report(proposal.number, step, end + 0.9 * 0.6**step)
            if diverges:
                late += number >= TRIALS - LATE
                study.tell(proposal.number, told)
            else:
                best = min(best, end)
                study.tell(proposal.number, "COMPLETE", end)
        return late, best


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="studies of each kind")
    parser.add_argument("--samplers", default=",".join(SAMPLERS), help="of them only these")
    parser.add_argument("--json", action="store_true", help="print all counts instead")
    options = parser.parse_args(arguments)
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    if not options.json:
        print(f"| sampler | {' | '.join(TOLD)} | best error, LOST | seconds |")
        print("|---|---|---|---|---|---|")
    for sampler in options.samplers.split(","):
        began = time.monotonic()
        rows = {told: [run(sampler, told, seed) for seed in range(options.seeds)] for told in TOLD}
        found[sampler] = rows
        if options.json:
            continue
        cells = []
        for told in TOLD:
            counts = [late for late, _ in rows[told]]
            cells.append(f"{statistics.median(counts):g} ({min(counts)} to {max(counts)})")
        best = statistics.median(value for _, value in rows["LOST"])
        took = time.monotonic() - began
        print(f"| {sampler} | {' | '.join(cells)} | {best:.4f} | {took:.0f} |", flush=True)
    if options.json:
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
