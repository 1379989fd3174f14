"""Phrases that the reasons of all plans share."""

from __future__ import annotations

from orchestrator.placement.model import Policy


def trials_words(n_trials: int | None) -> str:
    """Return ``1 trial``, ``3 trials``, or ``an unbounded number of trials``."""
    if n_trials is None:
        return "an unbounded number of trials"
    return f"{n_trials:,} trial{'' if n_trials == 1 else 's'}"


def limit_words(count: int, room: int, policy: Policy) -> str:
    """Return `` (limited by --max-parallel 2)`` where nothing else holds `count` down.

    Args:
        count: trials that run at once.
        room: trials that would without that limit.
        policy: holds the limit.
    """
    if count != policy.max_parallel or count >= room:
        return ""
    if policy.placement == "sequential":
        return " (--placement sequential)"
    return f" (limited by --max-parallel {count})"
