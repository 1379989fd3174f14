"""The page: complete, self-contained, and safe with any text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestrator.cli import app
from orchestrator.reporting import collect, render
from orchestrator.runs import TrialState
from tests.analysis import made
from tests.reporting.made_report import HOSTILE, a_lost_trial, a_sweep


def without_plotly(page: str) -> str:
    """Return the page without the script of Plotly, which is the longest by far."""
    longest = max(re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL), key=len)
    assert len(longest) > 1_000_000
    return page.replace(longest, "")


def test_the_page_shows_verdict_table_and_findings(tmp_path: Path) -> None:
    sweep = a_sweep(tmp_path)
    a_lost_trial(sweep, 3)
    page = without_plotly(render(collect([tmp_path])))
    assert "3 of 4 runs complete; ranked by <strong>val_mae</strong>, lowest first" in page
    assert "Best run: <strong>lr=1</strong>, val_mae 0.1" in page
    assert '<th scope="row">mae</th><td class="whole">&lt;= 0.15</td>' in page
    assert "✓ yes" in page
    assert page.count("<tr data-run=") == 4
    assert "non-finite" in page


def test_what_was_asked_how_far_targets_are_and_what_fails_is_shown(tmp_path: Path) -> None:
    spec = {"description": "Which rate?", "parameters": {}}
    success = {"success": {"met": False, "words": "success: missed; best.mae < 0.01"}}
    targets = {"mae": "<= 0.04"}
    gain = {"growth": {"cpu": "2 at once: 1.7 times as fast"}}
    sweep = made.sweep(tmp_path, spec=spec, targets=targets, course=success, placement=gain)
    made.trial(sweep, 0, name="a", state=TrialState.FAIL, reason="ValueError: no")
    page = without_plotly(render(collect([tmp_path])))
    assert "No run can be ranked: FAIL: ValueError: no." in page
    made.trial(sweep, 1, name="b", error=0.1, val_error=0.1)
    page = without_plotly(render(collect([tmp_path])))
    assert "<p>Which rate?</p>" in page
    assert "Placement: cpu: 2 at once: 1.7 times as fast" in page
    assert "✗ no, by 0.06" in page
    assert "Success: missed; best.mae &lt; 0.01." in page


def test_the_verdict_names_the_config_that_is_best_over_its_seeds(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, spec={"seeds": [0, 1], "seed_parameter": "seed"})
    for number, error in enumerate((0.1, 0.5, 0.2, 0.2)):
        lr, seed = divmod(number, 2)
        made.trial(
            sweep,
            number,
            name=f"lr={lr},seed={seed}",
            config={"lr": lr, "seed": seed},
            group=2 * lr,
            replicate=seed,
            error=error,
            val_error=error,
        )
    page = without_plotly(render(collect([tmp_path])))
    assert "Best single run: <strong>lr=0,seed=0</strong>, val_mae 0.1" in page
    assert "Best over its seeds: <strong>lr=1</strong>, val_mae 0.2 ± 0 (2 seeds)" in page


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    a_sweep(tmp_path)
    page = without_plotly(render(collect([tmp_path])))
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert "default-src 'none'" in page


@pytest.mark.parametrize("text", [HOSTILE, "\x1b]52;c;AAAA\x07", "n" * 10_000, "{{ 7 * 7 }}"])
def test_hostile_names_stay_text(text: str, tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path, targets={text: "<= 1"})
    for number in range(2):
        config = {"lr": number, text: f"{text}{number}"}
        made.trial(
            sweep,
            number,
            name=f"{text}{number}",
            config=config,
            error=0.1,
            val_error=0.1,
            warnings=[text],
        )
    page = without_plotly(render(collect([tmp_path])))
    assert "<script>document" not in page
    assert "<img" not in page
    assert ">49<" not in page, "the text was taken for a template"
    assert page.count("</script>") == page.count("<script")


def test_the_command_writes_the_file_and_names_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    a_sweep(tmp_path / "results")
    done = CliRunner().invoke(app, ["report", "demo", "-o", "out.html"])
    assert done.exit_code == 0, done.output
    assert "wrote out.html (3 runs" in done.stderr
    assert (tmp_path / "out.html").stat().st_size < 6_000_000

    from orchestrator.errors import NotFoundError, SweepError

    missing = CliRunner().invoke(app, ["report", "nosuch"])
    assert isinstance(missing.exception, NotFoundError)
    (tmp_path / "empty").mkdir()
    empty = CliRunner().invoke(app, ["report", "empty"])
    assert isinstance(empty.exception, SweepError)
    assert "no runs found" in str(empty.exception)
