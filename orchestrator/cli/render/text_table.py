"""Tables for people: columns that fit the terminal, numbers with four digits."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.files import plain

LONGEST_CELL = 40
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


def terminal_width() -> int:
    """Return the width to write for: the terminal's, ``COLUMNS``, or 120 where there is neither."""
    return shutil.get_terminal_size((120, 40)).columns


def short_path(path: Path) -> str:
    """Return `path` relative to the working folder where it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


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
