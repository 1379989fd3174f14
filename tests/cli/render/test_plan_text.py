"""Stages, ablations, seeds and budgets in `sweep plan`, and --set for their keys."""

from __future__ import annotations

import pytest

from orchestrator.cli import main
from orchestrator.sweepfile.load import load_spec
from tests.conftest import ROOT

EXAMPLES = ROOT / "sweeps" / "examples"


def planned(name: str, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(EXAMPLES / f"{name}.yaml"), *arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_stages(capsys: pytest.CaptureFixture[str]) -> None:
    text = planned("stages", capsys)
    assert "stages     quick (data_fraction=0.25, epochs=4); to full: top 3, if stable\n" in text
    assert "           full (data_fraction=1, epochs=12)\n" in text
    assert "trials     8\n" in text
    assert "stage      quick\n" in planned("stages", capsys, "--quick")
    assert "stage      full\n" in planned("stages", capsys, "--stage", "full")


def test_ablation(capsys: pytest.CaptureFixture[str]) -> None:
    text = planned("ablate", capsys)
    assert "ablate     a baseline and 4 changes\n" in text
    assert "           they run only if the baseline has val_mae <= 0.3\n" in text
    assert "  no_clip: is the clipping needed?\n" in text
    text = planned("keep_improvements", capsys)
    assert "2 changes; improvements are kept for later changes\n" in text
    assert "seeds      1, 2, 3: each config 3 times\n" in text


def test_budget(capsys: pytest.CaptureFixture[str]) -> None:
    text = planned("budget", capsys)
    assert "budget     ends after 6 finished trials or 1 h or 2 failures in a row\n" in text
    assert "… and so on, until the budget ends it\n" in text
    assert "trials     5\n" in planned("budget", capsys, "--count", "5")


def test_set_reaches_the_keys_that_may_be_short() -> None:
    seeded = load_spec(EXAMPLES / "seeds.yaml", overrides=["seeds.parameter=epochs", "seeds=3"])
    assert (seeded.seeds, seeded.seed_parameter) == ((0, 1, 2), "seed")
    named = load_spec(EXAMPLES / "seeds.yaml", overrides=["seeds.parameter=degree"])
    assert (named.seeds, named.seed_parameter) == ((0, 1), "degree")
    chosen = load_spec(
        EXAMPLES / "sampler.yaml", overrides=["sampler=qmc", "sampler.options.scramble=true"]
    )
    assert chosen.sampler is not None
    assert (chosen.sampler.name, chosen.sampler.options) == ("qmc", {"scramble": True})
    ablated = load_spec(EXAMPLES / "ablate.yaml", overrides=["ablate.changes.wider.set.degree=9"])
    assert ablated.ablate is not None
    assert ablated.ablate.changes["wider"].set == {"degree": 9, "even_terms": True}
    bounded = load_spec(EXAMPLES / "budget.yaml", overrides=["budget.hours=0.5"])
    assert bounded.budget.hours == 0.5
