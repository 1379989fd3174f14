"""Names, numbers, counts, paths and tables as text for people."""

from __future__ import annotations

import math
import os
import re
import shutil
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.files import plain

LONGEST_CELL = 40
_GAP = 2


def clean(text: str, longest: int | None = None) -> str:
    """Return `text` on one line, cut to `longest` characters, without control characters.

    Names of folders and messages are not trusted: they could contain terminal escapes.
    """
    safe = " ".join(text.split())
    if not safe.isprintable():
        safe = "".join(letter if letter.isprintable() else "?" for letter in safe)
    if longest is not None and len(safe) > longest:
        return safe[: longest - 1] + "…"
    return safe


def markdown(text: str) -> str:
    """Return `text` for a line or a cell of Markdown, where it makes no cell, tag or code."""
    inert = clean(text).replace("&", "&amp;").replace("<", "&lt;")
    return inert.replace("|", "\\|").replace("`", "\\`")


_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|.?)", re.DOTALL)
_COLOR = re.compile(r"\x1b\[[\d;:]*m")
_PIECE = re.compile(r"\x1b\[[\d;:]*m|[ ]+|[^ \x1b]+")


def safe(text: str, *, colors: bool = False) -> str:
    """Return lines of text without what moves the cursor or commands a terminal.

    Tabs and carriage returns stay, and `colors` if wanted.
    """
    kept = _ESCAPE.sub(lambda found: found[0] * (colors and bool(_COLOR.fullmatch(found[0]))), text)
    return "".join(one if one.isprintable() or one in "\n\t\r\x1b" else "?" for one in kept)


def number(value: Any, digits: int = 4, *, padded: bool = False) -> str:
    """Return `value` for people; ``-`` for None.

    Args:
        digits: significant digits of a float.
        padded: keep zeros at the end, so that 0.99998 is 1.000 and not a perfect 1.
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isfinite(value) and 10**digits <= abs(value) < 1e9:
            return f"{value:.0f}"
        return f"{value:#.{digits}g}" if padded else f"{value:.{digits}g}"
    if isinstance(value, Mapping | list | tuple):
        value = plain(value)
    return clean(str(value))


def assignments(values: Mapping[str, Any]) -> str:
    """Return ``lr=0.1, epochs=5``."""
    return ", ".join(f"{clean(name)}={number(value, 6)}" for name, value in values.items())


def plural(count: int, noun: str) -> str:
    """Return ``1 trial`` or ``1,200 trials``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def wrapped(text: str, width: int, head: str = "") -> str:
    """Return `text` on lines of `width`: the first after `head`, the others indented like it."""
    return textwrap.fill(
        text,
        width,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def folded(text: str, width: int, *, indent: int = 0) -> str:
    """Return one line, which may have colors, as lines of at most `width` characters.

    Lines after the first are indented. It is broken between words, which keep the spaces between
    them; a word that is longer than a line is broken too.
    """
    width = max(width, indent + 10)
    lines: list[str] = []
    line, length = "", 0
    for piece in _PIECE.findall(text):
        size = 0 if piece.startswith("\x1b") else len(piece)
        if length + size > width and length > indent:
            lines.append(line.rstrip(" "))
            line, length = " " * indent, indent
            if piece.isspace():
                continue
        while size > width - length:
            room = width - length
            lines.append(line + piece[len(piece) - size :][:room])
            line, length, size = " " * indent, indent, size - room
        line += piece[len(piece) - size :] if size else piece * (piece.startswith("\x1b"))
        length += size
    return "\n".join([*lines, line.rstrip(" ")])


def short_path(path: Path) -> str:
    """Return `path` relative to the working directory if it is below it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        weight: 0 is always shown; if not all columns fit, the greatest go first.
        is_number: align to the right.
        key: its name in files; "" if it is not written into them, or is always.
    """

    title: str
    cells: Sequence[str]
    weight: int = 0
    is_number: bool = False
    key: str = ""

    @property
    def width(self) -> int:
        """Characters of its widest cell."""
        return max(len(text) for text in (self.title, *self.cells))


def numbers(title: str, cells: Sequence[str], weight: int = 0, key: str = "") -> Column:
    """Return a column aligned to the right."""
    return Column(clean(title), cells, weight, is_number=True, key=key)


def filled(*columns: Column) -> list[Column]:
    """Return the columns that have a cell other than ``-``."""
    return [column for column in columns if any(cell != "-" for cell in column.cells)]


def config_columns(
    configs: Sequence[Mapping[str, Any]], weights: Mapping[str, int]
) -> list[Column]:
    """Return a column for each parameter named in `weights`."""

    def cell(config: Mapping[str, Any], name: str) -> str:
        return clean(number(config[name], 6), LONGEST_CELL) if name in config else "-"

    return [
        numbers(name, [cell(config, name) for config in configs], weight)
        for name, weight in weights.items()
    ]


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names whose values are not the same in all `configs`."""
    missing = object()
    return [
        name
        for name in dict.fromkeys(name for config in configs for name in config)
        if any(config.get(name, missing) != configs[0].get(name, missing) for config in configs[1:])
    ]


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return for each dotted name the shortest end of it that no other name has."""
    found = {}
    for name in names:
        parts = name.split(".")
        ends = [".".join(parts[-length:]) for length in range(1, len(parts) + 1)]
        unique = (e for e in ends if sum(f".{other}".endswith(f".{e}") for other in names) == 1)
        found[name] = next(unique, name)
    return found


def terminal_width() -> int:
    """Return ``COLUMNS``, else the width of the terminal, else 120."""
    found = shutil.get_terminal_size((0, 0)).columns
    for stream in (2, 0):  # standard output may be a pipe to a reader on the same terminal
        with suppress(OSError):
            found = found or os.get_terminal_size(stream).columns
    return found or 120


def fit(columns: Sequence[Column], width: int | None = None) -> tuple[list[Column], int]:
    """Return the columns that fit into `width` (None: the terminal), and how many do not.

    Columns of weight 0 always stay; of the others, lighter ones first, then those further left.
    """
    room = terminal_width() if width is None else width
    chosen = set()
    for index in sorted(range(len(columns)), key=lambda index: (columns[index].weight, index)):
        needed = columns[index].width + _GAP
        if columns[index].weight == 0 or needed <= room + _GAP:
            chosen.add(index)
            room -= needed
    kept = [column for index, column in enumerate(columns) if index in chosen]
    return kept, len(columns) - len(kept)


def without_distances(columns: Sequence[Column]) -> list[Column]:
    """Return the columns without what follows ✓ and ✗, so that more of them fit."""

    def short(text: str) -> str:
        return re.sub(r"([✓✗]) [-+]\S+$", r"\1", text)

    return [replace(column, cells=list(map(short, column.cells))) for column in columns]


def draw(columns: Sequence[Column], *, markdown: bool = False) -> str:
    """Return the table as text or Markdown."""
    rows = list(zip(*(column.cells for column in columns), strict=True))
    titles = tuple(column.title for column in columns)
    if not markdown:
        shown = [
            _padded([column.title, "-" * column.width, *column.cells], column.is_number)
            for column in columns
        ]
        gap = " " * _GAP
        return "\n".join(gap.join(line).rstrip() for line in zip(*shown, strict=True))
    from tabulate import tabulate

    return tabulate(
        rows,
        headers=titles,
        tablefmt="github",
        colalign=["right" if column.is_number else "left" for column in columns],
        disable_numparse=True,
    )


def _padded(cells: Sequence[str], is_number: bool) -> list[str]:
    """Return cells of one width on a terminal, where some letters take two places and some none."""
    bare = [cell.strip() for cell in cells]
    widths = [len(cell) if cell.isascii() else sum(map(_places, cell)) for cell in bare]
    widest = max(widths)
    pads = (" " * (widest - width) for width in widths)
    if is_number:
        return [pad + cell for pad, cell in zip(pads, bare, strict=True)]
    return [cell + pad for pad, cell in zip(pads, bare, strict=True)]


def _places(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
