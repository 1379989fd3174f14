"""Patterns for the metrics in a program's output, made from the lines that it printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.engine.probe.observe import Observed
from orchestrator.engine.script.output_text import Line
from orchestrator.engine.script.reports.merge import Follower

MOST_PATTERNS = 3
_LONGEST = 1_000  # characters; a longer line is not meant to be read
_VALUE = r"[-+\w.]+"
_NUMBER = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf)"
_PLACE = re.compile(
    r"(?P<label>\b(?:epochs?|global[_ ]step|steps?|iter(?:ation)?s?|rounds?)\b\s*[:=#\[(]?\s*)"
    r"(?P<step>\d+)(?:(?P<slash>\s*(?:/|of)\s*)(?P<total>\d+))?",
    re.IGNORECASE,
)
_COUNT = re.compile(r"^\s*(?P<label>[\[(]?)(?P<step>\d+)(?P<slash>\s*/\s*)(?P<total>\d+)")
_PAIR = re.compile(
    r"(?P<name>[A-Za-z][\w./-]*(?: [A-Za-z][\w./-]*)?)(?P<sign>['\"]?\s*[:=]\s*|\s+)"
    rf"(?P<value>{_NUMBER})(?![\w.:/])",
    re.IGNORECASE,
)
_METRICS = (
    *("loss", "acc", "accuracy", "mae", "mse", "rmse", "r2", "psnr", "ssim", "snr", "auc", "auroc"),
    *("f1", "precision", "recall", "wer", "per", "cer", "perplexity", "ppl", "bleu", "map", "iou"),
    *("dice", "error", "score", "reward", "elbo", "nll"),
)
_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "eval": "val"}
_SPLITS |= {"validation": "val", "dev": "val", "test": "test"}


@dataclass(frozen=True)
class Proposal:
    """A regular expression with named groups, the metrics that it found, and their reports."""

    pattern: str
    names: tuple[str, ...]
    reports: int


def propose_patterns(lines: Sequence[str]) -> list[Proposal]:
    """Return patterns that find the metrics in `lines`, those that find most first.

    Each is tried on the lines. Lines with the same metrics share a pattern; a name counts as a
    metric if one of its words is the name of one (loss, accuracy, ...).
    """
    shapes: dict[str, tuple[str, ...]] = {}
    for line in lines:
        made = _pattern(line)
        if made is not None:
            shapes.setdefault(*made)
    proposals = []
    for pattern, names in shapes.items():
        reports = Observed()
        follower = Follower([pattern], reports)
        for line in lines:
            follower.line(Line(line), 0.0)
        follower.send()
        found = tuple(name for name in names if name in reports.names)
        if found:
            proposals.append(Proposal(pattern, found, reports.count))
    proposals.sort(key=lambda item: (-item.reports, -len(item.names)))
    kept: list[Proposal] = []
    for item in proposals:
        known = {name for other in kept for name in other.names}
        if not set(item.names) <= known and len(kept) < MOST_PATTERNS:
            kept.append(item)
    return kept


def _pattern(line: str) -> tuple[str, tuple[str, ...]] | None:
    """Return a pattern for one line, and its metrics; None if it has none."""
    spans: list[tuple[int, int, str]] = []
    if len(line) > _LONGEST:
        return None
    place = _PLACE.search(line) or _COUNT.search(line)
    if place is not None:
        total = r"(?P<total>\d+)"
        text = f"{_literal(place['label'])}(?P<step>\\d+)"
        text += f"{_literal(place['slash'])}{total}" if place["total"] else ""
        spans.append((place.start(), place.end(), text))
    names: list[str] = []
    for found in _PAIR.finditer(line):
        name = _name(found["name"])
        inside = place is not None and place.start() < found.end() and found.start() < place.end()
        if inside or name is None or name in names:
            continue
        names.append(name)
        label = _literal(found["name"] + found["sign"])
        spans.append((found.start(), found.end(), rf"\b{label}(?P<{name}>{_VALUE})"))
    if not names:
        return None
    spans.sort()
    text, end = "", spans[0][0]
    for start, stop, piece in spans:
        text += ("" if start == end else ".*?") + piece
        end = stop
    return text, tuple(names)


def _name(text: str) -> str | None:
    """Return our name for the text before a number; None if it is not a metric."""
    words = [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]
    if len(words) == 1 and words[0] in _SPLITS and words[0] != "test":
        return f"{_SPLITS[words[0]]}_loss"  # "Train: 0.19 | Val: 0.21"
    if not any(word in _METRICS for word in words):
        return None
    words = [_SPLITS.get(word, word) for word in words]
    if words[-1] in _SPLITS.values():  # "loss/val"
        words = [words[-1], *words[:-1]]
    name = "_".join(words)
    return name if name.isidentifier() and name not in ("step", "epoch", "total") else None


def _literal(text: str) -> str:
    """Return text as a pattern, in which any blanks match blanks."""
    return r"\s*".join(re.escape(part) for part in re.split(r"\s+", text))
