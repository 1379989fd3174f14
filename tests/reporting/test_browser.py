"""The page in a real browser, opened from disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.reporting import collect, render
from tests.analysis import made
from tests.reporting.accessibility import LOOKS, serious_problems
from tests.reporting.made_report import HOSTILE, a_lost_trial, a_sweep

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
OPTIONS = ["--no-sandbox"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield launched
        launched.close()


class Opened:
    """A report that is open in a tab, with what the page complained of."""

    def __init__(self, browser: Any, address: Path | str) -> None:
        self.page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._note)
        self.page.goto(address.as_uri() if isinstance(address, Path) else address)

    def _note(self, message: Any) -> None:
        if message.type == "error":
            self.problems.append(message.text)

    def order(self) -> list[str]:
        """Return the visible runs in the order of the table."""
        found: list[str] = self.page.eval_on_selector_all(
            "#table tbody tr:not([hidden]) .open", "items => items.map(item => item.textContent)"
        )
        return found

    def wait_for_rows(self, count: int) -> None:
        """Wait until the table shows `count` runs."""
        from playwright.sync_api import expect

        expect(self.page.locator("#table tbody tr:not([hidden])")).to_have_count(count)

    def wait_for_plot(self, name: str) -> None:
        """Scroll to a figure and wait until it is drawn."""
        self.page.locator(f"figure[data-figure='{name}']").scroll_into_view_if_needed()
        self.page.wait_for_selector(f"figure[data-figure='{name}'] .main-svg", timeout=30_000)


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Opened]:
    sweep = a_sweep(tmp_path)
    a_lost_trial(sweep, 3)
    path = tmp_path / "report.html"
    path.write_text(render(collect([tmp_path])), encoding="utf-8")
    tab = Opened(browser, path)
    yield tab
    tab.page.close()


def test_it_opens_sorts_searches_and_shows_a_run(opened: Opened) -> None:
    page = opened.page
    assert opened.order() == ["lr=1", "lr=0.1", "lr=0.01", "lost"]
    head = page.locator("#table th button", has_text="val_mae").first
    head.click()
    head.click()
    assert opened.order()[:3] == ["lr=0.01", "lr=0.1", "lr=1"]
    page.fill("#search", "adam")
    assert sorted(opened.order()) == ["lr=0.01", "lr=1"]
    assert page.text_content("#count") == "2 of 4 runs"
    page.click("#reset")
    assert len(opened.order()) == 4
    page.locator(".open", has_text="lr=0.1").first.click()
    assert page.locator("dialog[open] h2").text_content() == "lr=0.1"
    page.locator("dialog[open] button").click()
    assert page.locator("dialog[open]").count() == 0
    assert opened.problems == []


def test_curves_switch_to_logarithmic_and_to_time(opened: Opened) -> None:
    page = opened.page
    opened.wait_for_plot("curve-loss")
    figure = page.locator("figure[data-figure='curve-loss']")
    figure.locator(".log").check()
    layout = "document.querySelector(\"figure[data-figure='curve-loss'] .plot\")"
    assert page.evaluate(f"{layout}.layout.yaxis.type") == "log"
    figure.locator(".time").check()
    page.wait_for_timeout(200)
    assert page.evaluate(f"Math.max(...{layout}.data[0].x)") == pytest.approx(9.5)
    assert opened.problems == []


def test_curves_are_smoothed_above_their_own_values(opened: Opened) -> None:
    page = opened.page
    opened.wait_for_plot("curve-loss")
    data = "document.querySelector(\"figure[data-figure='curve-loss'] .plot\").data"
    before = page.evaluate(f"{data}.map(t => [t.name, Array.from(t.y)])")
    page.fill("#smoothing", "0.5")
    page.wait_for_timeout(200)
    after = page.evaluate(f"{data}.map(t => [t.name, Array.from(t.y), t.opacity, t.showlegend])")
    (name, own, faint, named), (again, smooth, *_) = after[:2]
    assert (name, own) == tuple(before[0])
    assert (faint, named, again) == (0.2, False, name)
    expected, weights = 0.0, 0.0
    for value, found in zip(own, smooth, strict=True):
        expected, weights = 0.5 * expected + 0.5 * value, 0.5 * weights + 0.5
        assert found == pytest.approx(expected / weights)
    page.fill("#smoothing", "0")
    page.wait_for_timeout(200)
    assert page.evaluate(f"{data}.map(t => [t.name, Array.from(t.y)])") == before
    assert opened.problems == []


def test_a_range_on_an_axis_filters_the_table_and_the_curves(opened: Opened) -> None:
    page = opened.page
    opened.wait_for_plot("curve-loss")
    opened.wait_for_plot("parallel")
    # The first axis is lr, on a logarithmic scale: its upper end is 1.
    page.evaluate("sweepReport.select(0, [0.9, 1.1])")
    opened.wait_for_rows(1)
    assert opened.order() == ["lr=1"]
    curves = "document.querySelector(\"figure[data-figure='curve-loss'] .plot\")"
    hidden = page.evaluate(f"{curves}.data.filter(t => t.visible === false).map(t => t.name)")
    assert "lr=0.1" in hidden
    assert "lr=1" not in hidden
    page.click("#reset")
    assert len(opened.order()) == 4
    assert opened.problems == []


def test_an_axis_is_dragged_over_and_changes_its_scale(opened: Opened) -> None:
    page = opened.page
    opened.wait_for_plot("parallel")
    figure = page.locator("figure[data-figure='parallel']")
    figure.locator("select").first.select_option("linear")
    plot = "document.querySelector(\"figure[data-figure='parallel'] .plot\")"
    places = page.evaluate(
        f"{plot}.data.flatMap(t => t.x.map((x, at) => x === 0 ? t.y[at] : null))"
    )
    assert sorted(place for place in places if place is not None) == pytest.approx(
        [0.0, 0.0909, 1.0], abs=1e-3
    )
    box = figure.locator(".nsewdrag").first.bounding_box()
    axis_x = page.evaluate(f"{plot}._fullLayout.xaxis.l2p(0)") + box["x"]
    page.mouse.move(axis_x - 15, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(axis_x + 15, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    opened.wait_for_rows(1)
    assert opened.order() == ["lr=1"]
    assert opened.problems == []


def test_curves_are_grouped_with_a_band(opened: Opened) -> None:
    page = opened.page
    opened.wait_for_plot("curve-loss")
    page.locator("#groups summary").click()
    page.locator("#groups input[value='optimizer']").check()
    plot = "document.querySelector(\"figure[data-figure='curve-loss'] .plot\")"
    names = page.evaluate(f"{plot}.data.map(t => t.name).filter(Boolean)")
    assert {"optimizer=adam (2)", "optimizer=sgd (2)"} <= set(names)
    mean, low, high = page.evaluate(
        f"""(() => {{
          const of = {plot}.data.findIndex(t => t.name === "optimizer=adam (2)");
          return [0, 1, 2].map(back => {plot}.data[of - back].y[0]);
        }})()"""
    )
    assert low < mean < high
    assert mean == pytest.approx((low + high) / 2)
    page.locator("#groups input[value='optimizer']").uncheck()
    assert "lr=1" in page.evaluate(f"{plot}.data.map(t => t.name)")
    assert opened.problems == []


def test_hostile_text_is_never_run(browser: Any, tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path)
    for number in range(2):
        name = f"{HOSTILE}{number}"
        made.trial(
            sweep, number, name=name, config={HOSTILE: name}, error=0.1 + number, val_error=0.1
        )
    path = tmp_path / "report.html"
    path.write_text(render(collect([tmp_path])), encoding="utf-8")
    tab = Opened(browser, path)
    tab.wait_for_plot("bars-val_mae")
    assert tab.page.title().endswith("sweep report")
    assert tab.page.locator("img").count() == 0
    assert tab.problems == []
    tab.page.close()


def test_nothing_serious_for_screen_readers_in_any_look(opened: Opened) -> None:
    opened.wait_for_plot("curve-loss")
    opened.page.locator(".open").first.click()
    found = [each for look in LOOKS for each in serious_problems(opened.page, *look)]
    opened.page.keyboard.press("Escape")
    opened.page.evaluate(
        "document.querySelectorAll('details').forEach(one => { one.open = true; })"
    )
    for scheme, width in LOOKS:
        found += serious_problems(opened.page, scheme, width)
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert found == []


def test_the_keyboard_sorts_and_opens_a_run(opened: Opened) -> None:
    page = opened.page
    page.locator("#table th button", has_text="val_mae").first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert opened.order()[0] == "lr=0.01"
    page.locator(".open").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("dialog[open] h2").text_content() == "lr=0.01"
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_all_plots_and_rows_are_printed(opened: Opened) -> None:
    page = opened.page
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    shown = page.locator("figure[data-figure]:visible")
    page.wait_for_function(
        "[...document.querySelectorAll('figure[data-figure]:not([hidden])')]"
        ".every(one => one.querySelector('.main-svg'))"
    )
    assert shown.count() > 3
    assert page.locator(".tools").is_hidden()
    assert page.locator("#table tbody tr").last.is_visible()
    assert page.pdf().startswith(b"%PDF")
