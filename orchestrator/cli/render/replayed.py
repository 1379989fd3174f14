"""What a policy would have done to runs that are over, as text."""

from __future__ import annotations

from orchestrator.analysis import Examination, Examined
from orchestrator.cli.render.text import Column, clean, draw, number, numbers, plural


def replay_text(found: Examination) -> str:
    """Return a table of runs with their first warning and their end, and what it comes to."""
    runs = [one for one in found.runs if one.replay is not None]
    replays = [one.replay for one in runs if one.replay is not None]
    table = draw(
        [
            Column("run", [clean(one.run.name, 40) for one in runs]),
            numbers("reports", [str(len(one.run.reports)) for one in runs]),
            Column("first warning", [_warning(one) for one in runs]),
            Column("would end", [_end(one) for one in runs]),
            numbers("saved", [str(replay.saved) if replay.end else "-" for replay in replays]),
            numbers("best by then", [number(replay.best) for replay in replays]),
            Column("better later", [_missed(one) for one in runs]),
        ]
    )
    ended = [replay for replay in replays if replay.end is not None]
    total = sum(replay.reports for replay in replays)
    saved = sum(replay.saved for replay in ended)
    text = f"{len(ended)} of {plural(len(replays), 'run')} would have ended early"
    text += f": {saved} of {plural(total, 'report')} saved." if ended else "."
    worse = sum(replay.missed is not None for replay in ended)
    if worse:
        text += f" {plural(worse, 'run')} of them got better afterwards: wait longer (patience)."
    reasons = [
        f"  {clean(one.run.name, 40)}: {clean(one.replay.end[1].reason)}"
        for one in runs
        if one.replay is not None and one.replay.end is not None
    ]
    return "\n".join([table, "", text, *reasons])


def _warning(one: Examined) -> str:
    if one.replay is None or not one.replay.warnings:
        return "-"
    step, found = one.replay.warnings[0]
    return f"{found.symptom} at {one.run.unit} {step}"


def _end(one: Examined) -> str:
    if one.replay is None or one.replay.end is None:
        return "-"
    step, found = one.replay.end
    return f"{found.symptom} at {one.run.unit} {step}"


def _missed(one: Examined) -> str:
    if one.replay is None or one.replay.end is None or one.replay.missed is None:
        return "-"
    step, value = one.replay.missed
    return f"{number(value)} at {one.run.unit} {step}"
