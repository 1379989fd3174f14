"""What a page gets first, and what later."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.reporting.dashboard import feed
from orchestrator.runs import SweepDir
from tests.reporting.made_report import a_sweep


async def first_messages(sweep: SweepDir, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with contextlib.aclosing(feed.SweepFeed(sweep).messages()) as messages:
        async for text in messages:
            if text:
                found.append(json.loads(text))
            if len(found) == count:
                break
    return found


def test_of_many_trials_the_records_come_first_then_the_ranking_then_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_FEW", 2)
    monkeypatch.setattr(feed, "_STAGES", (0, 2, None))
    monkeypatch.setattr(feed, "LOOK_S", 0.01)
    records, ranking, some, everything = asyncio.run(first_messages(a_sweep(tmp_path), 4))
    assert len(records["rows"]) == 3
    assert "lr=1" in records["rows"]["0"]
    assert "figures" not in records
    assert "Best run" in ranking["parts"]["verdict"]
    assert "curve-loss" not in ranking["figures"]
    curves = some["figures"]["curve-loss"]["traces"].values()
    assert {trace["meta"]["run"] for trace in curves} == {0, 1}
    rest = everything["figures"]["curve-loss"]["traces"].values()
    assert {trace["meta"]["run"] for trace in rest} == {2}
    assert everything["problem"] == ""


def test_of_few_trials_all_comes_at_once(tmp_path: Path) -> None:
    records, everything = asyncio.run(first_messages(a_sweep(tmp_path), 2))
    assert len(records["rows"]) == 3
    assert "curve-loss" in everything["figures"]
    assert everything["problem"] == ""
