"""Tables whose columns fit the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.cli.render.text import clean, number

LONGEST_CELL = 40
_GAP = 2


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        weight: 0 is always shown; if not all columns fit, the greatest go first.
        is_number: align to the right.
    """

    title: str
    cells: Sequence[str]
    weight: int = 0
    is_number: bool = False

    @property
    def width(self) -> int:
        """Characters of its widest cell."""
        return max(len(text) for text in (self.title, *self.cells))


def numbers(title: str, cells: Sequence[str], weight: int = 0) -> Column:
    """Return a column aligned to the right."""
    return Column(clean(title), cells, weight, is_number=True)


def filled(*columns: Column) -> list[Column]:
    """Return the columns that have a cell other than ``-``."""
    return [column for column in columns if any(cell != "-" for cell in column.cells)]


def config_columns(
    configs: Sequence[Mapping[str, Any]], weights: Mapping[str, int]
) -> list[Column]:
    """Return a column for each parameter named in `weights`."""
    return [
        numbers(
            name,
            [
                clean(number(config[name], 6), LONGEST_CELL) if name in config else "-"
                for config in configs
            ],
            weight,
        )
        for name, weight in weights.items()
    ]


def fit(columns: Sequence[Column], width: int) -> tuple[list[Column], int]:
    """Return the columns that fit into `width` characters, and how many do not.

    Columns of weight 0 always stay; of the others, lighter ones first, then those further left.
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


def draw(columns: Sequence[Column], *, markdown: bool = False) -> str:
    """Return the table as text or Markdown."""
    from tabulate import tabulate

    rows = list(zip(*(column.cells for column in columns), strict=True))
    titles = tuple(column.title for column in columns)
    if not markdown:
        # tabulate pads a heading by two characters, so ours are ordinary rows.
        rows = [titles, tuple("-" * column.width for column in columns), *rows]
    return tabulate(
        rows,
        headers=titles if markdown else (),
        tablefmt="github" if markdown else "plain",
        colalign=["right" if column.is_number else "left" for column in columns],
        disable_numparse=True,
    )


def terminal_width() -> int:
    """Return the width of the terminal, else ``COLUMNS``, else 120."""
    return shutil.get_terminal_size((120, 40)).columns


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names whose values are not the same in all `configs`."""
    missing = object()
    return [
        name
        for name in dict.fromkeys(name for config in configs for name in config)
        if any(config.get(name, missing) != configs[0].get(name, missing) for config in configs[1:])
    ]
