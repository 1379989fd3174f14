"""Size and speed of the report and the dashboard: ``python -m benchmarks.pages``.

Reports of sweeps of 10, 100 and 1,000 trials with 200 reports each are written and opened in
Chromium; of a sweep of 2,000 trials with 500 reports each, the dashboard is opened.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import sync_playwright

from benchmarks.load import command
from benchmarks.size import make_sweep

_PATIENCE_S = 900.0
_STAGES = {
    "all rows": "document.querySelectorAll('#table tbody tr').length >= {trials}",
    "ranking": "document.querySelector('.best') !== null",
    "curves of 200 trials": "document.querySelector('figure[data-figure^=curve]') !== null",
    "findings of all": "document.getElementById('message').hidden",
}


def report(chromium: Any, trials: int, reports: int) -> None:
    """Print a row for the report of a sweep."""
    with tempfile.TemporaryDirectory(prefix="sweep-pages-") as name:
        folder = Path(name)
        make_sweep(folder / "results", trials, reports)
        took, peak, _ = command(folder, "report", "results")
        file = folder / "report.html"
        page = chromium.new_page()
        began = time.monotonic()
        page.goto(f"file://{file}")
        page.wait_for_selector(".js-plotly-plot")
        shown = time.monotonic() - began
        page.close()
        size = file.stat().st_size / 1e6
    print(f"| {trials:,} | {size:.1f} | {took:.1f} | {peak} | {shown:.1f} |", flush=True)


def dashboard(chromium: Any, trials: int, reports: int) -> None:
    """Print when the parts of a page appear."""
    with tempfile.TemporaryDirectory(prefix="sweep-pages-") as name:
        make_sweep(Path(name) / "results", trials, reports)
        command = [sys.executable, "-m", "orchestrator", "dashboard", "s", "--results", "results"]
        with subprocess.Popen(command, cwd=name, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            link = server.stdout.readline().split()[-1]
            page = chromium.new_page()
            began = time.monotonic()
            page.goto(link)
            for stage, condition in _STAGES.items():
                while not page.evaluate(condition.format(trials=trials)):
                    assert time.monotonic() - began < _PATIENCE_S, stage
                    page.wait_for_timeout(100)
                after = time.monotonic() - began
                process = psutil.Process(server.pid)
                spent, memory = sum(process.cpu_times()[:2]), process.memory_info().rss >> 20
                print(f"| {stage} | {after:.1f} | {spent:.1f} | {memory} |", flush=True)
            server.terminate()


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--live", type=int, default=2000, help="trials of the dashboard; 0: none")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    given = parser.parse_args()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        print("| trials | file, MB | CPU, s | peak, MiB | until drawn, s |\n|---|---|---|---|---|")
        for trials in given.trials:
            report(chromium, trials, 200)
        if given.live:
            print("\n| dashboard | after, s | CPU, s | memory, MiB |\n|---|---|---|---|")
            dashboard(chromium, given.live, 500)


if __name__ == "__main__":
    main()
