"""Tables with a heading, of any tool (Lightning, Keras, YOLO, timm, fastai).

Cells are separated by comma, semicolon, tab, bar or spaces. Lines that begin with ``#`` are
comments, but the last before numbers is the heading (NumPy's way); ``sep=;`` is Excel's. A line
without numbers, as long as the heading or longer, is another heading.
"""

from __future__ import annotations

import csv
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from orchestrator.runs.curves.cells import number
from orchestrator.runs.curves.columns import Cells, LoggedRows
from orchestrator.runs.curves.formats.plain_table import NotPlain, plain_columns
from orchestrator.runs.curves.log_reader import (
    Head,
    LoggedRun,
    LogProblem,
    LogReader,
    encoding_of,
    opened,
    read_lines,
)

_LARGE = 4 << 20  # characters of a table from which on loading Arrow pays
_DELIMITERS = ",;\t|"
_HEAD = 65_536  # bytes in which a heading is looked for
_LONGEST_CELL = 100  # lines that one quoted cell may span
_SEPARATOR = re.compile(r"sep=(.)\s*$", re.IGNORECASE)
_NAME = re.compile(r"\"?[A-Za-z_][^\"]{0,79}\"?$")
_RULE = re.compile(r"[-=+:|\s─━┼]+$")  # of a table for people
# What Stable-Baselines3 means by r, l, t.
_MONITOR = ["episode_reward", "episode_length", "time"]
_NO_NUMBER = re.compile(r"[A-Za-z_+=─━┼-]")
_DECIMAL_COMMA = re.compile(r"\d,\d")
_DECIMAL_POINT = re.compile(r"\d\.\d")


class TableParser:
    """Turns the lines of a table, as they come, into rows under a heading.

    Args:
        size: of the file, bytes; 0 for one that is being written.

    Attributes:
        names: the present heading; empty before it came.
        too_long: number of rows that were left out, as they are longer than the heading.
    """

    def __init__(self, size: int = 0) -> None:
        self.names: list[str] = []
        self.too_long = 0
        self.first_too_long = ""  # what is wrong with the first of them
        self._delimiter: str | None = None
        self._comment = ""
        self._has_decimal_comma: bool | None = None
        self._size = size
        self._texts: set[str] = set()  # columns that hold text
        self._above = 0  # lines before the first row
        self._open: list[str] = []  # lines of a quoted cell that has not ended

    def left_out(self) -> str:
        """Return what was not read; "" if all was."""
        return (
            f"{self.too_long} rows are longer than the heading and were left out (the first is "
            f"{self.first_too_long})"
            if self.too_long
            else ""
        )

    def rows(self, lines: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows of further lines by name, without empty cells."""
        for names, columns in self.blocks(list(lines)):
            for cells in zip(*columns, strict=True):
                pairs = zip(names, cells, strict=True)
                yield {name: cell for name, cell in pairs if name and cell not in ("", None)}

    def blocks(self, lines: list[str]) -> Iterator[tuple[list[str], Sequence[Cells]]]:
        """Yield the cells of further lines by column, with their heading."""
        start = 0
        text = "\n".join(lines)
        whole = self._whole(lines, text)
        while not self.names and start < len(whole):
            start += self._take_heading(whole, start) if whole[start].strip() else 1
        self._above = self._above or start
        rest = whole[start:] if start else whole
        if rest is not lines:
            text = "\n".join(rest)
        if self._has_decimal_comma is None and rest:
            sample = text[:65_536]
            has_comma = self._delimiter != "," and _DECIMAL_COMMA.search(sample) is not None
            self._has_decimal_comma = has_comma and _DECIMAL_POINT.search(sample) is None
        if self._has_decimal_comma:
            text = text.replace(",", ".")
            rest = text.split("\n")
        columns = self._plain_columns(text)
        if columns is not None:
            yield from ((self.names, cells) for cells in columns)
            return
        kept = [line for line in rest if line[:1] != "#" and not _RULE.match(line)]
        rows = self._cells([line for line in kept if line.strip()])
        first = next((row for row in rows if not self._is_heading(row)), None)
        if first is not None:
            cells = zip(self.names, first, strict=False)
            self._texts = {name for name, cell in cells if cell and number(cell) is None}
        if _has_row_names(self.names, rows, self._delimiter):
            self.names = ["", *self.names]
        begin = 0
        for index, row in enumerate(rows):
            if _NO_NUMBER.match(row[0] or "_") and self._is_heading(row):
                yield from self._fitting(rows[begin:index])
                begin = index + 1
                self._name(row)
        yield from self._fitting(rows[begin:])

    def plain(self, stream: BinaryIO) -> Iterator[list[Cells]] | None:
        """Return the cells by column of a whole file with a plain heading; None for others.

        Raises:
            NotPlain: upon iteration, if it is not plain all the same.
        """
        head = stream.read(_HEAD)
        if encoding_of(head) != "utf-8-sig" or self._size < _LARGE:
            return None
        *lines, _ = head.decode("utf-8-sig", "replace").replace("\r\n", "\n").split("\n")
        list(self.blocks(lines))
        is_plain = all(self.names) and b"\r" not in head.replace(b"\r\n", b"\n")
        if not is_plain or not self._above or self._has_decimal_comma or self._delimiter == " ":
            return None
        stream.seek(sum(len(line) for line in head.splitlines(keepends=True)[: self._above]))
        return plain_columns(stream, self.names, self._delimiter or ",", self._texts)

    def _plain_columns(self, text: str) -> list[list[Cells]] | None:
        """Return the cells by column of a large piece of plain rows, read by Arrow; else None."""
        self._size += len(text)
        if self._size < _LARGE or self._delimiter == " ":
            return None
        try:
            delimiter = self._delimiter or ","
            stream = io.BytesIO(text.encode())
            return list(plain_columns(stream, self.names, delimiter, self._texts))
        except NotPlain:
            return None

    def _whole(self, lines: list[str], text: str) -> list[str]:
        """Return lines of which each holds whole cells: a quoted one may span several."""
        if "\r" in text:
            lines = text.replace("\r", "\n").split("\n")
        if not self._open and '"' not in text:
            return lines
        found = []
        for line in lines:
            self._open.append(line)
            whole = "\n".join(self._open)
            if whole.count('"') % 2 == 0 or len(self._open) >= _LONGEST_CELL:
                found.append(whole)
                self._open = []
        return found

    def _take_heading(self, lines: Sequence[str], index: int) -> int:
        """Take a line before or of the heading, and return how many lines were used."""
        line = lines[index].lstrip("\ufeff")
        stated = _SEPARATOR.match(line)
        if stated is not None:
            self._delimiter = stated[1]
            return 1
        if line.startswith("#"):
            self._comment = line.lstrip("# ")
            return 1
        if _RULE.match(line):
            return 1
        if self._delimiter is None:
            self._delimiter = delimiter_of(line)
        cells = self._cells([line])[0]
        if not all(number(cell) is not None for cell in cells):
            self._name(cells)
            return 1
        above = self._cells([self._comment])[0]
        has_names = len(above) == len(cells) and all(map(_NAME.match, above))
        self._name(above if has_names else [""] * len(cells))
        return 0

    def _name(self, cells: Sequence[str]) -> None:
        self.names = []
        for cell in _MONITOR if cells == ["r", "l", "t"] else cells:
            count = sum(1 for name in self.names if name.partition("\0")[0] == cell)
            self.names.append(cell if not cell or not count else f"{cell}.{count}")

    def _cells(self, lines: Sequence[str]) -> list[list[str]]:
        if self._delimiter == " ":
            return [[cell.strip('"') for cell in line.split()] for line in lines]
        delimiter = self._delimiter or ","
        try:
            rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
        except csv.Error:
            rows = [line.split(delimiter) for line in lines]
        rows = [[cell.strip() for cell in row] for row in rows]
        if delimiter == "|":  # a table for people has bars at both ends
            rows = [row or [""] for row in rows]
            rows = [row[row[0] == "" and len(row) > 1 : len(row) - (row[-1] == "")] for row in rows]
        return [row or [""] for row in rows]

    def _is_heading(self, cells: Sequence[str]) -> bool:
        if not all(not cell or number(cell) is None for cell in cells):
            return False
        if len(set(cells) & set(self.names)) >= 2 or cells == self.names:
            return True
        return len(cells) >= max(2, len(self.names)) and len({*cells} - {""}) == len(cells)

    def _fitting(self, rows: list[list[str]]) -> Iterator[tuple[list[str], Sequence[Cells]]]:
        """Yield the columns of rows; leave out rows that are longer than the heading."""
        width = len(self.names)
        if any(len(row) != width for row in rows):
            kept = []
            for row in rows:
                extra = row[width:]
                if any(extra):
                    self._leave_out(row)
                else:
                    kept.append(row[:width] + [""] * (width - len(row)))
            rows = kept
        if rows:
            yield self.names, list(zip(*rows, strict=True))

    def _leave_out(self, row: Sequence[str]) -> None:
        if not self.too_long:
            self.first_too_long = (
                f"a row of {len(row)} values under a heading of {len(self.names)} columns"
            )
        self.too_long += 1


def _has_row_names(
    names: Sequence[str], rows: Sequence[Sequence[str]], delimiter: str | None
) -> bool:
    """Return whether rows begin with their number, for which R's write.table writes no name."""
    first = rows[:2] if delimiter in (" ", "\t") else ()
    return (
        bool(first)
        and bool(names[0])
        and all(
            len(row) == len(names) + 1 and row[0] == str(place)
            for place, row in enumerate(first, 1)
        )
    )


def delimiter_of(heading: str) -> str:
    """Return what separates the cells of a table; a space stands for any number of spaces."""
    best = max(_DELIMITERS, key=heading.count)
    return best if best in heading else (" " if len(heading.split()) > 1 else ",")


def _parser_of(path: Path) -> TableParser:
    return TableParser(size=path.stat().st_size if path.is_file() else 0)


def _read_plain(path: Path) -> tuple[TableParser, LoggedRows] | None:
    """Return the parser and the rows of a large plain table; None for one to be read by line."""
    parser, rows = _parser_of(path), LoggedRows()
    try:
        with opened(path) as stream:
            blocks = parser.plain(cast("BinaryIO", stream))
            for columns in blocks or ():
                rows.add_columns(parser.names, columns)
    except (NotPlain, OSError, EOFError, zlib.error):
        return None
    return (parser, rows) if blocks is not None else None


def _read(path: Path) -> list[LoggedRun]:
    found = _read_plain(path)
    parser, rows = found or (_parser_of(path), LoggedRows())
    for lines in () if found is not None else read_lines(path):
        for names, columns in parser.blocks(lines):
            rows.add_columns(names, columns)
    if parser.too_long and rows.count <= parser.too_long:
        raise LogProblem(f"has {parser.first_too_long} ({parser.too_long} such rows)")
    if not rows.count:
        raise LogProblem("has no rows below its heading")
    if not any(parser.names):
        raise LogProblem("has no heading: its first line holds numbers")
    return rows.runs(path, _form(path, parser.names), parser.left_out())


def _form(path: Path, names: list[str]) -> str:
    plain = {name.strip() for name in names}
    if any(name.startswith(("train/box", "metrics/mAP", "metrics/precision")) for name in plain):
        return "YOLO results"
    if path.name == "metrics.csv" and {"epoch", "step"} <= plain:
        return "Lightning CSV"
    return "Keras CSV" if {"epoch", "loss", "val_loss"} <= plain else "CSV"


def _recognizes(head: Head) -> bool:
    if head.suffix in (".csv", ".tsv"):
        return True
    lines = [line for line in head.lines if not _SEPARATOR.match(line)]
    data = [line for line in lines if not line.startswith("#")]
    comments = [line.lstrip("# ") for line in lines if line.startswith("#")]
    return _is_table(data) or (bool(comments) and _is_table([comments[-1], *data]))


def _is_table(lines: Sequence[str]) -> bool:
    """Return whether a line of names is followed by as many values, most of them numbers."""
    rows = [line for line in lines if not _RULE.match(line)][:2]
    if len(rows) < 2:
        return False
    parser = TableParser()
    parser._delimiter = delimiter_of(rows[0])
    names, values = (parser._cells([row])[0] for row in rows)
    if _has_row_names(names, [values], parser._delimiter):
        names = ["", *names]
    numbers = sum(number(value) is not None for value in values)
    # Only the index, which comes first, may have no name.
    is_named = all(map(_NAME.match, names[1:])) and _NAME.match(names[0] or "_") is not None
    is_full = len(names) == len(values) >= 2 and numbers * 2 >= len(values)
    return is_named and is_full and (parser._delimiter != " " or numbers >= len(values) - 1)


READER = LogReader(
    "CSV",
    _read,
    _recognizes,
    rank=3,
    parser=TableParser,
    usual_names={
        "metrics.csv": 20,
        "results.csv": 21,
        "summary.csv": 21,
        "training.csv": 22,
        "training_log.csv": 23,
        "history.csv": 24,
        "progress.csv": 24,
        "log.csv": 25,
        "*monitor.csv": 60,
    },
)
"""Of Lightning, YOLO, timm, Keras, fastai and Stable-Baselines3."""
