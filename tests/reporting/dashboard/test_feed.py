"""What a page gets first, and what later."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.metrics import asked_for
from orchestrator.reporting.dashboard import feed
from orchestrator.runs import SweepDir
from tests.analysis import made
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


def test_a_function_of_the_user_ranks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = made.sweep(tmp_path / "results")
    for number, error in enumerate((0.3, 0.1)):
        made.trial(sweep, number, error=error, val_error=0.4 - error)
    (tmp_path / "feed_scores.py").write_text("def top_error(p, t): return abs(p - t).max()\n")
    monkeypatch.chdir(tmp_path)
    kind, data = asked_for("feed_scores:top_error", None)

    async def ranked() -> str:
        of = feed.SweepFeed(sweep, {"kind": kind, "data": data})
        async with contextlib.aclosing(of.messages()) as messages:
            found = [json.loads(text) async for text in _first(messages, 2)]
        return str(found[-1])

    assert "top_error" in asyncio.run(ranked())


async def _first(messages: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    async for text in messages:
        if text:
            yield text
            count -= 1
        if not count:
            return
