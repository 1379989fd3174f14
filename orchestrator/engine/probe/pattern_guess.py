"""Patterns for the metrics in a program's output, made from the lines that it printed.

A proposal is proved on all lines before it is made: whatever its pattern takes from any line must
be what `read_line` finds there under the same name, so that no line feeds a metric of another.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from orchestrator.engine.probe.observe import Observed
from orchestrator.engine.script.output_text import Line
from orchestrator.engine.script.printed import Place, Printed, read_line
from orchestrator.engine.script.reports.merge import Follower
from orchestrator.runs.curves import cells

MOST_PATTERNS = 4
_MOST_SHAPES = 40
_VALUE, _GROUPED = r"[-+\w.]+", r"[-+\w.,]*\w"
_CELL = r"[-+]?(?:[\d.][-+\w.]*|(?i:nan|inf))"  # not a word, such as the heading of its column
_FIELD = r"[-+\w.,%]+"
_KINDS = ("epoch", "step", "count", "batch")
_NUMBERS = re.compile(r"(?<![\w])[-+]?\d[\d.,]*(?:[eE][-+]?\d+)?(?!\w)")
_LOOSE = re.compile(rf"{_NUMBERS.pattern}|\d{{4,}}")  # absl's I1201 holds the date
_STRICTNESS = 3
_BARS = "|│┃"
_OF_BATCHES = re.compile(r"\[\s*\d+\s*/\s*\d+\s*\]|\d+/\s*\d+ batches|\|\s*\d+/\d+\s*\[")

_Shown = Sequence[tuple[str, Printed]]


@dataclass(frozen=True)
class Proposal:
    """A regular expression with named groups, the metrics that it found, and their reports.

    Attributes:
        names: none if the pattern gives the step alone.
        known: those whose names are usual for metrics.
        is_of_batches: True if its lines count batches.
    """

    pattern: str
    names: tuple[str, ...]
    reports: int
    known: tuple[str, ...] = ()
    is_of_batches: bool = False


def propose_patterns(lines: Sequence[str], options: Collection[str] = ()) -> list[Proposal]:
    """Return patterns that find the metrics in `lines`, those that find most first.

    Lines of one shape share a pattern. If lines with metrics have no step that rises, a pattern for
    lines that give one is added.

    Args:
        options: names of the program's options, which it may print as it prints metrics.
    """
    shown = [(line, read_line(line, options)) for line in lines]
    table = _table(lines)
    shapes: dict[str, list[tuple[str, Printed]]] = {}
    for line, printed in shown:
        if printed.pairs:
            shapes.setdefault(_shape(line, printed), []).append((line, printed))
    largest = sorted(shapes.values(), key=len, reverse=True)[:_MOST_SHAPES]
    proposals: list[tuple[Proposal, _Shown]] = [] if table is None else [(table, [])]
    is_without_step = False
    for lines_alike in largest:
        made = _proved(lines_alike, shown)
        if made is not None:
            proposals.append((made, lines_alike))
    # What is printed once for an epoch counts more than what its batches show under that name.
    proposals.sort(key=lambda p: (p[0].is_of_batches, -p[0].reports, -len(p[0].names)))
    kept: list[Proposal] = []
    for item, group in proposals:
        known = {name for other in kept for name in other.names}
        if set(item.names) <= known or len(kept) == MOST_PATTERNS:
            continue
        without = known.intersection(item.names)
        best = _proved(group, shown, without) if without and item.is_of_batches else item
        if best is not None:
            kept.append(best)
            is_without_step |= "(?P<step>" not in best.pattern
    steps = _steps_alone(shown) if is_without_step else None
    return kept if steps is None else [steps, *kept]


def reported(patterns: Sequence[str], lines: Sequence[str]) -> Observed:
    """Return what a trial that prints these lines would report by these patterns."""
    seen = Observed()
    follower = Follower(patterns, seen)
    for line in lines:
        follower.line(Line(line), 0.0)
    follower.send()
    return seen


def not_understood(lines: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Return lines with numbers behind a name, of each shape the first, that no pattern takes."""
    taken = [re.compile(pattern) for pattern in patterns]
    found: dict[str, str] = {}
    for line in lines:
        if not any(pattern.search(line) for pattern in taken) and re.search(r"[A-Za-z]", line):
            shape = _NUMBERS.sub("#", line)
            if shape != line:
                found.setdefault(shape, line)
    return list(found.values())


def _shape(line: str, printed: Printed) -> str:
    """Return what lines that share a pattern have in common."""
    places = "".join(place.kind for place in printed.places)
    labels = [_literal(line[pair.start : pair.span[0]]) for pair in printed.pairs]
    return "\n".join([places, *(pair.name for pair in printed.pairs), *labels])


def _proved(group: _Shown, shown: _Shown, without: Collection[str] = ()) -> Proposal | None:
    """Return the loosest pattern for the lines of one shape that takes nothing else.

    Args:
        without: names of metrics that it leaves out.
    """
    kind = _rising([printed.places for _, printed in group])
    first, printed = group[0]
    commas = {pair.name for _, row in group for pair in row.pairs if "," in pair.value}
    pairs = [pair for pair in printed.pairs if pair.name not in without]
    for strictness in range(2 * _STRICTNESS):
        pattern = _pattern(first, replace(printed, pairs=tuple(pairs)), kind, commas, strictness)
        compiled = re.compile(pattern)
        if all(_is_right(compiled, line, row, kind) for line, row in shown):
            reports = reported([pattern], [line for line, _ in shown])
            names = tuple(pair.name for pair in pairs if pair.name in reports.names)
            known = tuple(pair.name for pair in pairs if pair.is_known)
            is_batch = any(_counts_batches(line, row) for line, row in group)
            return Proposal(pattern, names, reports.count, known, is_batch) if names else None
    return None


def _counts_batches(line: str, printed: Printed) -> bool:
    spans = [place.span for place in printed.places]
    return any(place.kind == "batch" for place in printed.places) or any(
        not any(start < found.end() and found.start() < end for start, end in spans)
        for found in _OF_BATCHES.finditer(line)
    )


def _rising(rows: Iterable[Sequence[Place]]) -> str | None:
    """Return the kind of place that gives the step: it never falls, and moves on."""
    rows = list(rows)
    rising = {}
    for kind in _KINDS:
        steps = [next((p.value for p in row if p.kind == kind), None) for row in rows]
        known = [step for step in steps if step is not None]
        if len(known) == len(rows) and _rises(known):
            rising[kind] = len(set(known))
    moving = [kind for kind, count in rising.items() if count > 1]
    if moving or len(rows) > 1:
        return next(iter(moving), "epoch" if "epoch" in rising else None)
    return next((kind for kind in rising if kind != "batch"), None)


def _rises(values: Sequence[float]) -> bool:
    return all(a <= b for a, b in pairwise(values))


def _is_right(pattern: re.Pattern[str], line: str, printed: Printed, kind: str | None) -> bool:
    """Return whether all that a pattern takes from a line is what the line shows."""
    truth = {pair.name: cells.number(pair.value) for pair in printed.pairs}
    place = next((place.value for place in printed.places if place.kind == kind), None)
    for found in pattern.finditer(line):
        for name, text in found.groupdict().items():
            if name == "step" and cells.number(text) != place:
                return False
            if name in ("step", "total"):
                continue
            number = cells.number(text)
            if number is None or repr(truth.get(name)) != repr(number):  # nan equals nan
                return False
    return True


def _pattern(
    line: str, printed: Printed, kind: str | None, commas: Collection[str], strictness: int
) -> str:
    """Return a pattern for a line; a stricter one holds more of the text around the numbers.

    Args:
        commas: the metrics whose values may have one.
    """
    numbers_only, strictness = divmod(strictness, _STRICTNESS)
    pieces = []
    for pair in printed.pairs:
        value = _GROUPED if pair.name in commas else _CELL if numbers_only else _VALUE
        # What COCO calls a metric holds numbers: IoU=0.50.
        label = _literal(line[pair.start : pair.span[0]], is_loose="IoU=" not in line)
        pieces.append((pair.start, pair.span[1], f"{label}(?P<{pair.name}>{value})"))
    pieces += [_place_piece(line, place) for place in printed.places if place.kind == kind][:1]
    pieces.sort()
    text, end = "", 0
    for start, stop, piece in pieces:
        between = line[end:start]
        if strictness == 2 or (strictness == 1 and not text):
            text += ("" if text else r"^") + _literal(between, is_loose=True)
        elif text:
            text += ".*?" if between else ""
        elif piece[:1].isalnum():
            text = r"\b"
        text, end = text + piece, stop
    return text


def _place_piece(line: str, place: Place) -> tuple[int, int, str]:
    shown = line[slice(*place.span)]
    number = r"[\d,]+" if "," in shown else r"\d+(?:\.\d+)?" if "." in shown else r"\d+"
    total = rf"{_literal(place.slash)}(?P<total>\d+)" if place.total is not None else ""
    is_first = place.kind == "count" and not line[: place.span[0]].strip()
    start = "^\\s*" if is_first else ""
    return (*place.span, f"{start}{_literal(place.label)}(?P<step>{number}){total}")


def _literal(text: str, *, is_loose: bool = False) -> str:
    """Return text as a pattern in which any blanks match blanks, and numbers any number."""
    parts, end = [], 0
    for found in _LOOSE.finditer(text) if is_loose else ():
        parts += [text[end : found.start()], None]
        end = found.end()
    parts.append(text[end:])
    blanks = r"\s*"
    return "".join(
        _FIELD if part is None else blanks.join(map(re.escape, re.split(r"\s+", part)))
        for part in parts
    )


def _steps_alone(shown: _Shown) -> Proposal | None:
    """Return a pattern for lines that give the step of the metrics on other lines."""
    for kind in ("epoch", "step"):
        rows = [(line, p) for line, p in shown if any(place.kind == kind for place in p.places)]
        alone = [(line, p) for line, p in rows if not p.pairs]
        if len(alone) < 2 or _rising([p.places for _, p in alone]) != kind:
            continue
        line, printed = alone[-1]
        place = next(place for place in printed.places if place.kind == kind)
        for start in (r"\b", "^" + _literal(line[: place.span[0]], is_loose=True)):
            pattern = start + _place_piece(line, place)[2]
            seen = [re.search(pattern, line) for line, _ in shown]
            steps = [float(found["step"]) for found in seen if found is not None]
            if _rises(steps):
                return Proposal(pattern, (), len(set(steps)))
    return None


def _table(lines: Sequence[str]) -> Proposal | None:
    """Return a pattern for a table with names above its columns of numbers."""
    for place, line in enumerate(lines[:-1]):
        columns, sign = _cells(line)
        if len(columns) < 2 or not all(re.match(r"[A-Za-z]", cell) for cell in columns):
            continue
        names = [_column(cell) for cell in columns]
        rows = list(_rows(lines[place + 1 :], names))
        names = [name if names.count(name) == 1 else "" for name in names]
        least = 1 if sign == _BARS else 2
        if len(rows) < least or not any(name not in ("", "step") for name in names):
            continue
        if "step" in names and not _rises([row["step"] for row in rows]):
            continue
        other = rf"[^{sign}]+?" if sign else r"\S+"
        groups = [f"(?P<{name}>{_CELL})%?" if name else other for name in names]
        between = rf"\s*[{sign}]\s*" if sign else r"\s+"
        edge = rf"[\s{sign}]*" if sign else r"\s*"
        pattern = f"^{edge}{between.join(groups)}{edge}$"
        found = tuple(name for name in reported([pattern], lines).names)
        if found:
            return Proposal(pattern, found, len(rows), found)
    return None


def _rows(lines: Sequence[str], names: Sequence[str]) -> Iterator[dict[str, float]]:
    """Yield the rows of a table that have a number in each column with a name."""
    for line in lines:
        columns, _ = _cells(line)
        row = {name: cells.number(cell) for name, cell in zip(names, columns, strict=False) if name}
        if len(columns) == len(names) and None not in row.values():
            yield {name: number for name, number in row.items() if number is not None}


def _cells(line: str) -> tuple[list[str], str]:
    """Return the cells of a line, and the signs that part them; "" for blanks."""
    for sign in (_BARS, ",", ";"):
        found = [cell.strip() for cell in re.split(f"[{sign}]", line.strip().strip(sign))]
        if len(found) > 1:
            return found, sign
    return line.split(), ""


def _column(cell: str) -> str:
    """Return the group of a column: its metric, ``step``, or "" for what is neither."""
    place = read_line(f"{cell}: 1").places
    pairs = read_line(f"{cell}: 0.5").pairs
    if place:
        return "step"
    return pairs[0].name if pairs and pairs[0].is_known else ""
