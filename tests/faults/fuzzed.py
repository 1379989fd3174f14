# ruff: noqa: E501 -- inputs as they are
"""Every parser that is ours, with good inputs to damage, and the errors that are its own.

A parser may refuse an input, and must neither raise anything else nor take long.
"""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import SweepError

Parse = Callable[[bytes], object]
MARK = b"\n\0--\n"
"""Between the records of an input that its parser gets framed."""

PIECES = [
    *(b"\0", b"\xff", b"\x1b[", b"\n", b"\r", b'"', b"'", b"{", b"}", b"[", b"]", b",", b":", b"=", b"|"),
    *(b"nan", b"-inf", b"1e999", b"9" * 400, b"9" * 5000, b"-", b"-1", b"0", b"1e-5", b"null", b"true"),
    *(b"/", b"../", b"&a ", b"*a", b"!!", b"\xe2\x80\xae", b"\xed\xa0\x80", b" " * 300, b"${env:X}", b"%"),
    *(b"{" * 2000, b"[" * 2000, b"- " * 500, b"2020-13-45", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"(" * 300),
    *(b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", b"\xff\xff\xff\x7f", b"1_0", b"0x1", b"\xd9\xa3", b"**"),
]  # fmt: skip
DEEP: list[Any] = []
for _ in range(600):
    DEEP = [DEEP]
ODD: list[Any] = [
    *(None, 0, 5, -1, 1e308, 10**400, -(10**400), float("nan"), float("inf"), True, 1 << 53, 0.5),
    *("", "nan", "x" * 3000, "\ud800", "a\x1b]52;c;QUJD\x07", "=1+1", "2020", "9999-12-31T23:59:59+00:00"),
    *([], [1], [None, {}], {}, {"a": 1}, {"": {"": None}}, {"value": [1]}, DEEP, ["a", 1], "a\nb", "/etc"),
]  # fmt: skip


@dataclass(frozen=True)
class Parser:
    """One parser.

    Attributes:
        seal: puts the frame (lengths, checksums, compression) around a damaged input; None if
            there is none, or if the frame is to be damaged too.
        own: the errors that its callers expect.
    """

    parse: Parse
    seeds: Sequence[bytes]
    seal: Callable[[bytes], bytes] | None = None
    own: tuple[type[Exception], ...] = field(default=(SweepError,))

    def take(self, content: bytes) -> bool:
        """Parse an input; return whether it was refused."""
        try:
            self.parse(content if self.seal is None else self.seal(content))
        except self.own:
            return True
        return False


def damaged(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """Return one of the good inputs after a few changes."""
    good = chance.choice(seeds)
    if good[:1] in b"{[" and chance.random() < 0.5:
        with suppress(ValueError, RecursionError):
            good = _with_odd_values(good, chance)
    content = bytearray(good)
    for _ in range(chance.choice((0, 1, 1, 2, 4, 8))):
        start = chance.randrange(len(content) + 1)
        end = min(len(content), start + chance.choice((0, 1, 3, 10, 50)))
        part = bytes(content[start:end])
        other = chance.choice(seeds)
        at = chance.randrange(len(other) + 1)
        new = chance.choice(
            [
                b"",
                part * 2,
                part * 40,
                part[::-1],
                other[at : at + 30],
                chance.randbytes(1),
                chance.randbytes(4),
                chance.choice(PIECES),
                chance.choice(PIECES),
            ]
        )
        content[start:end] = new
    return bytes(content)


def _with_odd_values(good: bytes, chance: random.Random) -> bytes:
    """Return lines of JSON in one of which a value, or a key, is another."""
    lines = good.split(b"\n")
    place = chance.randrange(len(lines))
    value = json.loads(lines[place])
    places = list(_places(value))
    at, odd = chance.choice(places), chance.choice(ODD)
    lines[place] = json.dumps(_put(value, at, odd)).encode()
    return b"\n".join(lines)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    return [at, *(place for key, item in inside for place in _places(item, (*at, key)))]


def _put(value: Any, at: tuple[Any, ...], odd: Any) -> Any:
    if not at:
        return odd
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[at[0]] = _put(value[at[0]], at[1:], odd)
    return copied


def of_text(parse: Callable[[str], object]) -> Parse:
    """Return a parser of bytes."""
    return lambda content: parse(content.decode(errors="replace"))


def of_file(folder: Path, name: str, read: Callable[[Path], object]) -> Parse:
    """Return a parser that reads a file which holds the input."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)

    def parse(content: bytes) -> object:
        path.write_bytes(content)
        return read(path)

    return parse


def framed_events(content: bytes) -> bytes:
    """Return records as TensorBoard frames them; the checksums are not looked at."""
    return b"".join(
        struct.pack("<Q", len(one)) + bytes(4) + one + bytes(4) for one in content.split(MARK)
    )


def framed_wandb(content: bytes) -> bytes:
    """Return records as W&B frames them."""
    from tests.runs.wandb_made import framed

    return framed(content.split(MARK))


def framed_array(content: bytes) -> bytes:
    """Return a damaged header of an array with its right length, and some values."""
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(content) & 0xFFFF) + content + bytes(64)


def framed_archive(content: bytes) -> bytes:
    """Return an ``.npz`` archive whose arrays are damaged, with its right checksums."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", framed_array(content))
    return out.getvalue()


def everything(folder: Path) -> dict[str, Parser]:
    """Return all parsers by name; they write below `folder`."""
    from tests.faults import fuzzed_files, fuzzed_records, fuzzed_texts

    return {
        **fuzzed_files.parsers(folder / "files"),
        **fuzzed_records.parsers(folder / "records"),
        **fuzzed_texts.parsers(folder / "texts"),
    }
