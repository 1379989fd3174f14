"""Command line: run the cases with all tools in turn, and print a table of medians each."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from benchmarks import ranking
from benchmarks.side_by_side.cases import CASES, Figures
from benchmarks.side_by_side.peers import TOOLS_COMPARED, install, python_of

BASE = "sweep"
RANKING = "ranking"
DEFAULT_PEERS = Path.home() / ".cache" / "sweep" / "peers"
PACKAGES = ("ray", "optuna", "torch", "syne-tune", "hydra-core", "hydra-joblib-launcher", "guildai")


def run_case(name: str, tools: list[str], peers: Path, trials: int, repeats: int) -> str:
    """Run a case in turn with all tools, again and again; return its table."""
    case = CASES[name]
    tools = [tool for tool in tools if tool in case.tools]
    found: dict[str, list[Figures]] = defaultdict(list)
    problems: dict[str, str] = {}
    repeats = repeats if case.is_repeated else 1
    for repeat in range(repeats):
        for tool in tools:
            chosen = case.tools[tool]
            python = sys.executable if chosen.is_ours else str(python_of(peers))
            if tool in problems:
                continue
            try:
                figures = case.measure(chosen, python, trials)
            except Exception as error:  # of any kind: a tool that fails is a row of the table
                problems[tool] = f"{type(error).__name__}: {error}"
                print(f"{name} {tool}: {problems[tool]}", file=sys.stderr, flush=True)
                continue
            found[tool].append(figures)
            shown = ", ".join(f"{key} {value:.3g}" for key, value in figures.items())
            print(f"{name} {repeat + 1}/{repeats} {tool}: {shown}", file=sys.stderr, flush=True)
    return table(case.title, {tool: found[tool] for tool in tools}, problems)


def table(title: str, found: dict[str, list[Figures]], problems: dict[str, str]) -> str:
    """Return a Markdown table: medians, and the ratio to `BASE` in the same run."""
    columns = list(next((runs[0] for runs in found.values() if runs), {}))
    lines = [f"### {title}", "", "| tool | " + " | ".join(f"{c} | ratio" for c in columns) + " |"]
    lines.append("|---" * (1 + 2 * len(columns)) + "|")
    for tool, runs in found.items():
        cells = []
        for column in columns:
            if not runs:
                cells += ["failed", ""]
                continue
            middle = statistics.median(run[column] for run in runs)
            cells += [f"{middle:.3g}", _ratio(runs, found.get(BASE, []), column)]
        lines.append(f"| {tool} | " + " | ".join(cells) + " |")
    lines += ["", *(f"- {tool}: {text.splitlines()[0]}" for tool, text in problems.items())]
    return "\n".join(lines) + "\n"


def _ratio(runs: list[Figures], base: list[Figures], column: str) -> str:
    """Return the median of the ratios to `BASE`, run by run, since the machine's speed drifts."""
    pairs = [
        run[column] / other[column] for run, other in zip(runs, base, strict=False) if other[column]
    ]
    return f"{statistics.median(pairs):.2f}" if pairs else ""


def machine(peers: Path) -> str:
    """Return the machine and the versions, one line each."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    (own, *_) = [*peers.glob("lib/python3*/site-packages"), Path()]
    versions = []
    for package in PACKAGES:
        known = list(importlib.metadata.distributions(name=package, path=[str(own), *sys.path]))
        versions += [f"{package} {known[0].version}"] if known else []
    load = os.getloadavg()[0]
    python = platform.python_version()
    return (
        f"{os.cpu_count()} cores, {model}; load average {load:.1f} at the start.\n"
        f"Python {python}, {', '.join(versions)}.\n"
    )


def main() -> None:
    """Run what the command line requests."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__)
    parser.add_argument("--peers", type=Path, default=DEFAULT_PEERS, help="their environment")
    parser.add_argument("--install", action="store_true", help="install the others there first")
    parser.add_argument("--tools", nargs="*", default=list(TOOLS_COMPARED), metavar="NAME")
    parser.add_argument("--cases", nargs="*", default=[*CASES, RANKING], choices=[*CASES, RANKING])
    parser.add_argument("--trials", type=int, default=60, help="of the case of many trials")
    parser.add_argument("--repeats", type=int, default=3, help="of the cases that measure times")
    given = parser.parse_args()
    if given.install and (missing := install(given.peers)):
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
    tools = [name for name in given.tools if name in TOOLS_COMPARED]
    print(machine(given.peers))
    for case in given.cases:
        if case == RANKING:
            ranking.main([])
            continue
        print(run_case(case, tools, given.peers, given.trials, given.repeats), flush=True)


if __name__ == "__main__":
    main()
