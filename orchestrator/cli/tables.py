"""Tables for people: columns that fit the terminal, numbers with four digits."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.files.atomic import plain

if TYPE_CHECKING:
    from orchestrator.analysis.rows import Comparison, Incomplete, Row, Tally

LONGEST_CELL = 40
LISTED = 40
VARIED = 3  # varied parameters that are shown before any metric but the one that ranks
_GAP = 2


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        title: its heading.
        cells: its content, top to bottom.
        weight: what it is worth when not all fit; 0 is always shown, greater goes first.
        is_number: True to align it to the right.
    """

    title: str
    cells: Sequence[str]
    weight: int = 0
    is_number: bool = False

    @property
    def width(self) -> int:
        """Characters of its widest cell."""
        return max(len(text) for text in (self.title, *self.cells))


def terminal_width() -> int:
    """Return the width to write for: the terminal's, ``COLUMNS``, or 120 where there is neither."""
    return shutil.get_terminal_size((120, 40)).columns


def number(value: Any, digits: int = 4, *, padded: bool = False) -> str:
    """Return `value` for people: floats with `digits` significant digits, ``-`` for None.

    Args:
        value: anything that stands in a record.
        digits: significant digits of a float.
        padded: keep zeros at the end, so that 0.99998 is 1.000 and not a perfect 1.
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value - value == 0 and 10**digits <= abs(value) < 1e9:
            return f"{value:.0f}"
        return f"{value:#.{digits}g}" if padded else f"{value:.{digits}g}"
    if isinstance(value, Mapping | list | tuple):
        return clean(str(plain(value)))
    return clean(str(value))


def clean(text: str, longest: int | None = None) -> str:
    """Return `text` on one line and without control characters, cut to `longest` characters.

    Names of folders and messages come from anywhere; none of them may steer the terminal.
    """
    single = " ".join(text.split())
    safe = "".join(letter if letter.isprintable() else "?" for letter in single)
    if longest is not None and len(safe) > longest:
        return safe[: longest - 1] + "…"
    return safe


def fit(columns: Sequence[Column], width: int) -> tuple[list[Column], int]:
    """Return the columns that fit into `width` characters, and how many do not.

    Those of weight 0 always stay; of the others, lighter ones first, then those further left.
    """
    room = width
    chosen = set()
    for index in sorted(range(len(columns)), key=lambda index: (columns[index].weight, index)):
        column = columns[index]
        needed = column.width + _GAP
        if column.weight == 0 or needed <= room + _GAP:
            chosen.add(index)
            room -= needed
    kept = [column for index, column in enumerate(columns) if index in chosen]
    return kept, len(columns) - len(kept)


def draw(columns: Sequence[Column]) -> str:
    """Return the table of `columns`, no wider than their widths and the gaps between."""
    from tabulate import tabulate

    # tabulate pads a heading by two characters, so ours are ordinary lines.
    lines = [
        [column.title for column in columns],
        ["-" * column.width for column in columns],
        *zip(*(column.cells for column in columns), strict=True),
    ]
    return tabulate(lines, tablefmt="plain", colalign=_sides(columns), disable_numparse=True)


def draw_markdown(columns: Sequence[Column]) -> str:
    """Return the table of `columns` as Markdown."""
    from tabulate import tabulate

    return tabulate(
        list(zip(*(column.cells for column in columns), strict=True)),
        headers=[column.title for column in columns],
        tablefmt="github",
        colalign=_sides(columns),
        disable_numparse=True,
    )


def _sides(columns: Sequence[Column]) -> list[str]:
    return ["right" if column.is_number else "left" for column in columns]


def render_comparison(
    comparison: Comparison, *, width: int | None = None, everything: bool = False
) -> str:
    """Return a comparison as people read it: heading, table, targets, warnings, incomplete runs.

    Args:
        comparison: the ranked runs.
        width: characters in a line; the terminal's by default.
        everything: show all columns and all incomplete runs, however many.
    """
    lines = [heading(comparison)]
    if comparison.rows:
        columns = _columns(comparison)
        hidden = 0
        if not everything:
            columns, hidden = fit(columns, terminal_width() if width is None else width)
        lines += ["", draw(columns)]
        if len(comparison.rows) < comparison.n_complete:
            lines.append(f"The best {len(comparison.rows)} of {comparison.n_complete}.")
        if hidden:
            more = "1 more column" if hidden == 1 else f"{hidden} more columns"
            lines.append(f"{more}: `sweep compare --all`, or --export csv.")
        lines += _targets(comparison.tallies)
        lines += _warnings(comparison.rows)
    lines += [f"Note: {note}" for note in comparison.notes]
    lines += _incomplete(comparison.incomplete, None if everything else LISTED)
    return "\n".join(lines)


def render_markdown(comparison: Comparison) -> str:
    """Return a comparison as Markdown, with all columns and all incomplete runs."""
    from orchestrator.analysis.export import cell, flat_rows

    names, rows = flat_rows(comparison)
    names.remove("warnings")  # they are sentences, and stand below the table
    columns = [
        Column(_escape(name), [_escape(number(cell(row.get(name)), 6)) for row in rows])
        for name in names
    ]
    lines = [heading(comparison), ""]
    if rows:
        lines += [draw_markdown(columns), ""]
    lines += [f"- {_escape(note)}" for note in comparison.notes]
    lines += [
        f"- {_escape(f'{row.trial}: {text}')}" for row in comparison.rows for text in row.warnings
    ]
    if comparison.incomplete:
        lines += ["", f"Incomplete ({len(comparison.incomplete)}):", ""]
        lines += [f"- {_escape(_incomplete_line(item))}" for item in comparison.incomplete]
    return "\n".join(lines).rstrip() + "\n"


def heading(comparison: Comparison) -> str:
    """Return the line that says how many are complete, what ranks them and on which split."""
    counted = f"{comparison.n_complete}/{comparison.n_total} complete"
    if not comparison.n_complete:
        return counted
    first = "highest first" if comparison.goal == "maximize" else "lowest first"
    return f"{counted}, ranked by {clean(comparison.sort_by)}, {first} ({comparison.basis})"


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names whose values are not the same in all `configs`."""
    names: dict[str, None] = {}
    for config in configs:
        names.update(dict.fromkeys(config))
    missing = object()

    def varies(name: str) -> bool:
        first = configs[0].get(name, missing)
        return any(config.get(name, missing) != first for config in configs[1:])

    return [name for name in names if varies(name)]


def _columns(comparison: Comparison) -> list[Column]:
    rows = comparison.rows
    several = len({row.sweep for row in rows}) > 1
    columns = [
        Column("rank", [str(row.rank) for row in rows], is_number=True),
        Column("trial", [_trial(row, several) for row in rows]),
    ]
    if any(row.state not in (None, "COMPLETE") for row in rows):
        columns.append(Column("state", [row.state or "-" for row in rows], 1))
    for place, name in enumerate(differing([row.config for row in rows])):
        cells = [
            clean(number(row.config[name], 6), LONGEST_CELL) if name in row.config else "-"
            for row in rows
        ]
        # What was varied is what the table is read for; of many, the first few.
        weight = 2 if place < VARIED else 5
        columns.append(Column(clean(name), cells, weight, is_number=True))

    first = comparison.sort_by
    targets = _union(row.targets for row in rows)
    metrics = _union(row.metrics for row in rows)
    usual = [name for name in ("mae", "rmse", "r2") if name in metrics]
    # Of the rest, mean errors say most in the unit that people know; validation twins say least.
    rest = sorted(metrics, key=lambda name: (name.startswith("val_"), not name.endswith("_mae")))
    shown: dict[str, int] = {first: 0}
    for names, weight in ((targets, 3), (usual, 4), (rest, 6)):
        for name in names:
            shown.setdefault(name, weight)
    for name, weight in shown.items():
        columns.append(
            Column(clean(name), [_metric(row, name) for row in rows], weight, is_number=True)
        )
    return columns


def _trial(row: Row, with_sweep: bool) -> str:
    name = f"{row.sweep}/{row.trial}" if with_sweep and row.sweep else row.trial
    mark = " !" if row.warnings else ""
    return clean(name, LONGEST_CELL) + mark


def _metric(row: Row, name: str) -> str:
    target = row.targets.get(name)
    value = row.metrics.get(name)
    if value is None and target is not None:
        value = target.value
    if target is None or target.met is None:
        return number(value, padded=True)
    return f"{number(value, padded=True)} {'✓' if target.met else '✗'}"


def _targets(tallies: Mapping[str, Tally]) -> list[str]:
    lines = []
    for name, found in tallies.items():
        met = (
            f"met by {found.met} of {found.judged}" if found.judged else "no run shows that metric"
        )
        lines.append(f"Target {name} {', '.join(found.bounds)}: {met}.")
    return [clean(line) for line in lines]


def _warnings(rows: Sequence[Row]) -> list[str]:
    return [clean(f"! {row.trial}: {text}") for row in rows for text in row.warnings]


def _incomplete(items: Sequence[Incomplete], most: int | None) -> list[str]:
    if not items:
        return []
    shown = items if most is None else items[:most]
    lines = ["", f"Incomplete ({len(items)}):"]
    lines += [f"  {_incomplete_line(item)}" for item in shown]
    if len(shown) < len(items):
        lines.append(f"  … and {len(items) - len(shown)} more: --all, or --json.")
    return lines


def _incomplete_line(item: Incomplete) -> str:
    told = [item.problem] if item.problem else []
    told += [f"missing {', '.join(item.missing)}"] if item.missing else []
    return clean(f"{short_path(item.path)}: {'; '.join(told)}")


def short_path(path: Path) -> str:
    """Return `path` relative to the working folder where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _union(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    seen: dict[str, None] = {}
    for mapping in mappings:
        seen.update(dict.fromkeys(mapping))
    return list(seen)


def _escape(text: str) -> str:
    return clean(text).replace("|", "\\|")
