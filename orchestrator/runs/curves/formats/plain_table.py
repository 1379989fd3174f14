"""Rows of plain numbers, read by Arrow: much faster than by line, but it knows no exceptions."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.runs.curves.columns import Cells, Sparse

if TYPE_CHECKING:
    import pyarrow

_BLOCK = 4 << 20  # bytes that are parsed at once


class NotPlain(Exception):  # noqa: N818  (it is what was found, not a fault)
    """Rows that have to be read by line."""


def plain_columns(
    stream: Any, names: Sequence[str], delimiter: str, texts: Collection[str]
) -> Iterator[list[Cells]]:
    """Yield the cells by column of the rows in a binary stream, some thousand rows at a time.

    Args:
        stream: from the first row below the heading on; UTF-8.
        texts: the columns that hold text; all others must hold numbers.

    Raises:
        NotPlain: there is another heading, a comment, a percent sign, a row of another length.
    """
    from pyarrow import ArrowException, csv as arrow, float64, string

    kinds = {name: string() if name in texts else float64() for name in names}
    try:
        yield from (
            [_cells(column, is_text=bool(texts)) for column in batch.columns]
            for batch in arrow.open_csv(
                stream,
                arrow.ReadOptions(use_threads=False, column_names=names, block_size=_BLOCK),
                arrow.ParseOptions(delimiter=delimiter),
                arrow.ConvertOptions(column_types=kinds, null_values=[""]),
            )
        )
    except (ArrowException, UnicodeDecodeError):
        raise NotPlain from None


def _cells(column: pyarrow.Array, *, is_text: bool) -> Cells:
    """Return a column; if the table holds text, which may pick rows, cells may be None."""
    import numpy as np
    from pyarrow import types

    if not types.is_floating(column.type) or (is_text and column.null_count):
        return list(column.to_pylist())
    # Not Arrow's own conversion, which loads pandas.
    valid, numbers = column.buffers()
    place = slice(column.offset, column.offset + len(column))
    values = np.frombuffer(numbers, np.float64)[place]
    if not column.null_count:
        return array("d", values.tobytes())
    bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")
    rows = np.flatnonzero(bits[place]).astype(np.int64)
    return Sparse(len(column), array("q", rows.tobytes()), array("d", values[rows].tobytes()))
