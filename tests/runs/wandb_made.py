"""Writes W&B's offline log as its format says, for tests: a LevelDB log of protocol buffers."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

BLOCK = 32 * 1024


def log_bytes(
    config: Mapping[str, Any], reports: Sequence[tuple[int, Mapping[str, Any]]], pad: int = 0
) -> bytes:
    """Return a log with a run, `pad` bytes of another kind of record, and the history."""
    return framed(records_of(config, reports, pad))


def records_of(
    config: Mapping[str, Any], reports: Sequence[tuple[int, Mapping[str, Any]]], pad: int = 0
) -> list[bytes]:
    """Return the records of such a log."""
    run = _bytes(1, b"abc123") + _bytes(4, b"".join(_bytes(1, item) for item in _items(config)))
    records = [_bytes(17, run), _bytes(4, b"x" * pad)]
    for step, metrics in reports:
        history = b"".join(_bytes(1, item) for item in _items(metrics))
        records.append(_bytes(2, history + _bytes(2, _varint_field(1, step))))
    return records


def _items(values: Mapping[str, Any]) -> list[bytes]:
    return [
        _bytes(1, key.encode()) + _bytes(16, json.dumps(value).encode())
        for key, value in values.items()
    ]


def framed(records: Sequence[bytes]) -> bytes:
    """Return records in the blocks of a log."""
    out = bytearray(b":W&B" + struct.pack("<HB", 0xBEE1, 0))
    for record in records:
        rest, is_first = record, True
        while True:
            left = BLOCK - len(out) % BLOCK
            if left < 7:
                out += b"\0" * left
                continue
            piece, rest = rest[: left - 7], rest[left - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}[
                is_first, not rest
            ]
            # The checksum is not looked at; any 32 bits stand for it.
            out += struct.pack("<IHB", zlib.crc32(piece), len(piece), kind) + piece
            is_first = False
            if not rest:
                break
    return bytes(out)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint_field(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
