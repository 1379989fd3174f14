"""Score rules on labeled curves: detection, false stops, latency, saved reports."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

from benchmarks.curves import DIVERGED, Curve


@dataclass(frozen=True)
class Outcome:
    """What a rule did to one curve.

    Attributes:
        stopped_at: index of the report at which it stopped the run; None if it never did.
        symptom: what it found then.
    """

    stopped_at: int | None
    symptom: str | None


@dataclass(frozen=True)
class Score:
    """The figures over a file of curves.

    Attributes:
        diverged: number of curves labeled diverged.
        detected: how many of them were stopped at or after onset − 1.
        early: how many of them were stopped before that.
        healthy: number of curves labeled healthy.
        stopped: how many of them were stopped.
        latencies: reports between onset and stop, of each detected curve.
        others: label to (number of curves, stopped), for the labels that are neither.
        saved: fraction of the reports of diverged runs that detection saves.
        thrown_away: fraction of the reports of healthy runs that false stops lose.
        by_repo: repository to (diverged, detected, healthy, stopped).
    """

    diverged: int
    detected: int
    early: int
    healthy: int
    stopped: int
    latencies: tuple[int, ...]
    others: dict[str, tuple[int, int]]
    saved: float = 0.0
    thrown_away: float = 0.0
    by_repo: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)

    def repo_mean(self, of: int) -> float | None:
        """Return the mean over repositories of detection (`of` 0) or of false stops (2)."""
        shares = [counts[of + 1] / counts[of] for counts in self.by_repo.values() if counts[of]]
        return statistics.fmean(shares) if shares else None

    @property
    def latency(self) -> float | None:
        """Median latency in reports; None if nothing was detected."""
        return statistics.median(self.latencies) if self.latencies else None


def score(curves: list[Curve], outcomes: dict[str, Outcome]) -> Score:
    """Compare outcomes with labels."""
    latencies, early, healthy, stopped, diverged = [], 0, 0, 0, 0
    others: dict[str, tuple[int, int]] = {}
    repos: dict[str, list[int]] = {}
    spent = {"diverged": [0, 0], "healthy": [0, 0]}
    for curve in curves:
        if curve.ambiguous:
            continue
        at = outcomes[curve.id].stopped_at
        rest = 0 if at is None else curve.reports - at - 1
        repo = repos.setdefault(curve.repo, [0, 0, 0, 0])
        if curve.label in DIVERGED:
            diverged += 1
            onset = curve.onset or 0
            found = at is not None and at >= onset - 1
            if at is not None and found:
                latencies.append(at - onset)
            elif at is not None:
                early += 1
            _add(spent["diverged"], curve.reports, rest if found else 0)
            _add(repo, 1, int(found))
        elif curve.label == "healthy":
            healthy += 1
            stopped += at is not None
            _add(spent["healthy"], curve.reports, rest)
            _add(repo, 0, 0, 1, int(at is not None))
        else:
            number, ended = others.get(curve.label, (0, 0))
            others[curve.label] = (number + 1, ended + (at is not None))
    return Score(
        diverged,
        len(latencies),
        early,
        healthy,
        stopped,
        tuple(latencies),
        others,
        spent["diverged"][1] / max(1, spent["diverged"][0]),
        spent["healthy"][1] / max(1, spent["healthy"][0]),
        {name: (row[0], row[1], row[2], row[3]) for name, row in repos.items()},
    )


def _add(row: list[int], *more: int) -> None:
    for index, value in enumerate(more):
        row[index] += value


def wilson(part: int, whole: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's interval of a share; (0, 1) if there is nothing to count."""
    if not whole:
        return 0.0, 1.0
    share = part / whole
    middle = share + z * z / (2 * whole)
    spread = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    scale = 1 + z * z / whole
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def table(scores: dict[str, Score]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| rule | detection | mean of repositories | too early | false stops "
        "| mean of repositories | median latency | saved | thrown away | other labels stopped |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in scores.items():
        others = ", ".join(
            f"{label} {ended}/{number}" for label, (number, ended) in sorted(figures.others.items())
        )
        latency = "-" if figures.latency is None else f"{figures.latency:g} reports"
        lines.append(
            f"| {name} | {_share(figures.detected, figures.diverged)} "
            f"| {_mean(figures.repo_mean(0))} | {figures.early} "
            f"| {_share(figures.stopped, figures.healthy)} | {_mean(figures.repo_mean(2))} "
            f"| {latency} | {figures.saved:.0%} | {figures.thrown_away:.0%} | {others or '-'} |"
        )
    return "\n".join(lines)


def _mean(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _share(part: int, whole: int) -> str:
    if not whole:
        return "-"
    low, high = wilson(part, whole)
    return f"{part / whole:.1%} ({part}/{whole}; {low:.1%} to {high:.1%})"
