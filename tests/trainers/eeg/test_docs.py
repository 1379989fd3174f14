"""docs/eeg.md names every metric and every sweep."""

from pathlib import Path

from trainers.eeg import metrics

ROOT = Path(__file__).parents[3]


def test_metrics_and_sweeps_are_named() -> None:
    text = (ROOT / "docs" / "eeg.md").read_text(encoding="utf-8")
    sweeps = [path.name for path in (ROOT / "sweeps").glob("eeg_*.yaml")]
    assert len(sweeps) == 2
    for name in [*metrics.GOALS, *sweeps]:
        assert f"`{name}`" in text
