"""Tables that somebody is still writing, row by row: CSV of any tool, and JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.runs.curves.curve import number
from orchestrator.runs.curves.table_logs import flat
from orchestrator.runs.curves.tail import GrowingLines, Mark

Row = dict[str, Any]

_LONGEST_CELL = 100  # lines over which one quoted cell may go


class _GrowingTable:
    """The rows of one file; a subclass says what a row is.

    Tools write a table anew to add a column, or because they write all of it each time. A table
    that begins with the row that came first before is the same one, and goes on behind the rows
    that were taken; any other is a new one.
    """

    def __init__(self, path: Path, after: Mark | None = None) -> None:
        self._lines = GrowingLines(path, after)
        self._count = 0
        self._first: Row | None = None
        self._passed = 0
        self._is_again = False

    @property
    def path(self) -> Path:
        """The file."""
        return self._lines.path

    def read(self) -> list[Row]:
        """Return the rows that came since the last call."""
        lines, is_anew = self._lines.read()
        if is_anew:
            self._is_again, self._passed = self._first is not None, 0
            self._begin()
        return list(self._unknown(self._rows(lines)))

    def close(self) -> list[Row]:
        """Return what is left, where the last line has no end."""
        rows = self.read()
        rest = self._lines.rest()
        return rows + list(self._unknown(self._rows([rest] if rest else [])))

    def _begin(self) -> None:
        """Forget what belongs to the file as it was."""

    def _rows(self, lines: Iterable[bytes]) -> Iterator[Row]:
        raise NotImplementedError

    def _unknown(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Leave out what was taken before the file was written anew."""
        for row in rows:
            if self._is_again:
                if self._passed == 0 and not _is_same(self._first or {}, row):
                    self._is_again, self._count, self._first = False, 0, None
                elif self._passed < self._count:
                    self._passed += 1
                    continue
                else:
                    self._is_again = False
            if self._first is None:
                self._first = row
            self._count += 1
            yield row


def _is_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tell whether a row is one of before, perhaps with more columns."""
    return all(now.get(name) == cell for name, cell in before.items() if cell != "")


class GrowingJsonLines(_GrowingTable):
    """JSON lines; maps inside a line are flattened, lines that hold no object are left out."""

    def _rows(self, lines: Iterable[bytes]) -> Iterator[Row]:
        for line in lines:
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict):
                yield flat(record)


class GrowingCsv(_GrowingTable):
    """A table with a heading, cells parted by comma, semicolon or tabulator.

    A line of words alone, as long as the heading or longer, is another heading.
    """

    def __init__(self, path: Path, after: Mark | None = None) -> None:
        super().__init__(path, after)
        self._names: list[str] = []
        self._delimiter = ","
        self._open: list[str] = []
        if after is not None and after.size:
            self._read_heading()

    def _begin(self) -> None:
        self._names, self._open = [], []

    def _read_heading(self) -> None:
        """Take the heading of a table that other rows are appended to."""
        try:
            with self.path.open("rb") as stream:
                line = stream.readline(65_536)
        except OSError:
            return
        if line.endswith(b"\n"):
            list(self._rows([line.rstrip(b"\r\n")]))

    def _rows(self, lines: Iterable[bytes]) -> Iterator[Row]:
        for raw in lines:
            text = raw.decode("utf-8-sig", "replace").replace("\0", "")
            self._open.append(text)
            whole = "\n".join(self._open)
            if whole.count('"') % 2 and len(self._open) < _LONGEST_CELL:
                continue  # a quoted cell goes on in the next line
            self._open = []
            if not whole.strip():
                continue
            if not self._names:
                if whole.startswith("#") and not any(sign in whole for sign in ",;\t"):
                    continue
                self._delimiter = max(",;\t", key=whole.count)
            cells = self._cells(whole)
            if not self._names or self._is_heading(cells):
                self._names = [cell.strip() for cell in cells]
                continue
            yield {
                name: cell.strip()
                for name, cell in zip(self._names, cells, strict=False)
                if name and cell.strip()
            }

    def _cells(self, text: str) -> list[str]:
        try:
            return next(csv.reader([text], delimiter=self._delimiter, skipinitialspace=True), [])
        except csv.Error:
            return text.split(self._delimiter)

    def _is_heading(self, cells: list[str]) -> bool:
        plain = [cell.strip() for cell in cells]
        words = all(cell and number(cell) is None for cell in plain)
        return plain == self._names or (
            words and len(plain) >= max(2, len(self._names)) and len(set(plain)) == len(plain)
        )
