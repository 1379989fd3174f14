"""The live page in a real browser: new trials and points appear, and trials can be stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.files import jsonl, lock
from orchestrator.runs import SweepDir, SweepState, TrialState
from tests.analysis import made
from tests.reporting.accessibility import LOOKS, serious_problems
from tests.reporting.made_report import HOSTILE, add_curve
from tests.reporting.test_browser import CHROMIUM, Opened, browser

__all__ = ["browser"]

PATIENCE_MS = 30_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]


class Shown(Opened):
    """The page of the sweep `demo`, which a driver seems to run."""

    def __init__(self, browser: Any, link: str, sweep: SweepDir) -> None:
        self.sweep = sweep
        super().__init__(browser, link)

    def wait(self, condition: str) -> None:
        # Not wait_for_function, which the page's policy forbids.
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, (condition, self.problems)
            self.page.wait_for_timeout(100)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def link(results: Path) -> Iterator[str]:
    """Start the command and return the link that it prints."""
    command = [sys.executable, "-m", "orchestrator", "dashboard", "--results", str(results)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().removeprefix("Dashboard: ").strip()
        server.terminate()
        assert server.wait(20) == -15


@pytest.fixture
def shown(browser: Any, results: Path, link: str, request: Any) -> Iterator[Shown]:
    """A sweep with a complete trial and one that runs, open in a tab."""
    name = request.function.__name__
    sweep = made.sweep(results, name, state=SweepState.RUNNING, n_trials=9)
    add_curve(made.trial(sweep, 0, name="lr=1", error=0.1, val_error=0.1), 20, 0.1)
    running = made.trial(sweep, 1, name="lr=2", state=TrialState.RUNNING, config={"lr": 2.0})
    add_curve(running, 5, 0.2)
    held = lock.acquire(sweep.lock_file, timeout_s=1, holder="the sweep")
    tab = Shown(browser, link.replace("/?", f"/sweep/{name}?"), sweep)
    tab.wait("document.querySelectorAll('#table tbody tr').length === 2")
    yield tab
    tab.page.close()
    held.release()


CURVE = "document.querySelector(\"figure[data-figure='curve-loss'] .plot\")"


def test_a_new_point_and_a_new_trial_appear(shown: Shown) -> None:
    shown.wait_for_plot("curve-loss")
    run = shown.sweep.run_dir(1, "lr=2")
    jsonl.append(run.metrics_file, {"step": 77, "time": 1e9 + 50, "metrics": {"val_loss": 0.5}})
    shown.wait(f"{CURVE}.data.some(trace => Array.from(trace.x).includes(77))")
    shown.wait("document.querySelector('#table tbody').textContent.includes('0.5')")
    made.trial(shown.sweep, 2, name="lr=3", state=TrialState.RUNNING, config={"lr": 3.0})
    shown.wait("document.querySelector('#table tbody').textContent.includes('lr=3')")
    made.trial(shown.sweep, 1, name="lr=2", error=0.05, val_error=0.05, config={"lr": 2.0})
    shown.wait("document.querySelector('.best').textContent.includes('lr=2')")
    assert shown.order()[:2] == ["lr=2", "lr=1"]
    assert shown.problems == []


def test_a_trial_and_the_sweep_can_be_stopped(shown: Shown) -> None:
    shown.page.on("dialog", lambda dialog: dialog.accept())
    shown.page.locator("#table .stop").click()
    shown.page.locator("[data-part=status] .stop").click()
    shown.wait("document.querySelector('[data-part=status] .stop').disabled")
    requests = [json.loads(path.read_text()) for path in shown.sweep.requests_dir.iterdir()]
    assert sorted(requests, key=str) == [{"stop": 1}, {"stop": None}]
    assert shown.problems == []


def test_a_run_opens_and_hostile_names_stay_text(shown: Shown) -> None:
    made.trial(shown.sweep, 5, name=HOSTILE, config={HOSTILE: HOSTILE}, error=0.3, val_error=0.3)
    shown.wait("document.querySelectorAll('#table tbody tr').length === 3")
    shown.page.locator(".open").last.click()
    shown.page.wait_for_selector("dialog[open] h2")
    assert shown.page.locator("dialog[open] h2").text_content() == HOSTILE
    assert shown.page.locator("img").count() == 0
    assert "owned" not in shown.page.title()
    assert shown.problems == []


def test_the_list_names_the_sweeps_and_the_secret_leaves_the_address(
    browser: Any, link: str, results: Path
) -> None:
    made.sweep(results, "one")
    page = browser.new_page()
    page.goto(link)
    page.wait_for_selector("text=one")
    made.sweep(results, "two")
    page.wait_for_selector("text=two", timeout=PATIENCE_MS)
    assert "token" not in page.url
    page.click("text=one")
    page.wait_for_selector("h1:has-text('one')")
    page.close()


def test_nothing_serious_for_screen_readers_in_any_look(shown: Shown, link: str) -> None:
    shown.wait_for_plot("curve-loss")
    found = [each for look in LOOKS for each in serious_problems(shown.page, *look)]
    shown.page.goto(link)
    found += [each for look in LOOKS for each in serious_problems(shown.page, *look)]
    assert found == []
