from __future__ import annotations

from pathlib import Path

from orchestrator.analysis.table import compare
from orchestrator.cli.render.ending import ROWS, render_ending
from orchestrator.runs.records import TrialState
from tests.analysis import made


def test_the_ending_is_short_however_long_the_sweep(tmp_path: Path) -> None:
    sweep = made.sweep(tmp_path / "results")
    for number in range(60):
        run = made.trial(sweep, number, warnings=["asked 3.0, recorded 1.5"])
        made.curves(run.path, 1.1 + number / 100)
        made.metadata(run.path, data={"kind": "decay_curve", "rate_hz": made.RATE_HZ})
    for number in range(60, 100):
        made.trial(sweep, number, state=TrialState.FAIL, reason="exit code 1")
    shown = compare([sweep.path], top=ROWS)
    text = render_ending(shown, "demo", ["The sweep is a success."], "3 lost trials ended.")
    lines = text.splitlines()
    assert len(lines) < 40
    assert "The best 20 of 60." in text
    assert "The sweep is a success." in lines
    findings = lines[lines.index("The sweep is a success.") + 2 : -2]
    assert findings[0].endswith("t60 and 39 more: FAIL: exit code 1")
    assert findings[1].endswith(" and 19 more: asked 3.0, recorded 1.5")
    assert findings[2] == "3 lost trials ended."
    assert len(findings) == 3
    assert lines[-1].startswith("More: `sweep compare demo`")
