"""Read pickles of arrays without executing anything in them.

A pickle is a program that can call any function of any module. Here only the six names are allowed
that numpy writes into a pickle of arrays, and they resolve to stand-ins that only record their
arguments. The arrays are created from them at the end, from validated bytes, types and shapes.
Lists, tuples, maps, numbers, strings and bytes are data of the format itself.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from pathlib import Path
from typing import Any, Final

import numpy as np

_TYPE: Final = re.compile(r"[<>=|]?(?:b1|[iu][1248]|f[248]|S\d{1,6}|U\d{1,6}|O8?)")
_BYTE_ORDERS: Final = ("<", ">", "|", "=")


class PickleError(ValueError):
    """A pickle is damaged, or contains something other than arrays, lists, maps and numbers."""


def load_arrays(path: Path) -> Any:
    """Return the content of the pickle `path`, with numpy arrays.

    Object arrays become lists, nested for each axis.

    Raises:
        PickleError: it contains other names or is damaged.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return loads_arrays(stream)


def loads_arrays(stream: io.BufferedIOBase | io.BytesIO) -> Any:
    """Return the content of the pickle in `stream`; see `load_arrays`."""
    try:
        return _finished(_Reader(stream).load(), {})
    except PickleError:
        raise
    except Exception as error:  # a damaged pickle can raise almost anything
        raise PickleError(f"not a whole pickle ({type(error).__name__}: {error})") from None


class _StandIn:
    """Replaces an object that a pickle names."""

    def __setstate__(self, state: Any) -> None:
        # Without this, a pickle could set any attribute of the object.
        raise PickleError(f"may not change a {type(self).__name__.strip('_').lower()}")

    def finish(self, done: dict[int, Any]) -> Any:
        """Return the real object; `done` as in `_finished`."""
        raise PickleError(f"may not hold a {type(self).__name__.strip('_').lower()} by itself")


class _Type(_StandIn):
    """Stands in for a numpy type."""

    def __init__(self, name: Any, align: Any = False, copy: Any = False) -> None:
        text = name.decode("ascii") if isinstance(name, bytes) else str(name)
        if not _TYPE.fullmatch(text):
            raise PickleError(
                f"may contain only arrays of numbers and text (found the type {text!r})"
            )
        self.text = text

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, subtype, names, fields, ...): plain types need only the byte order.
        order = state[1].decode() if isinstance(state[1], bytes) else state[1]
        if order not in _BYTE_ORDERS or any(item is not None for item in state[2:5]):
            raise PickleError("may contain only arrays of plain types (found a structured one)")
        if order in "<>":
            self.text = order + self.text.lstrip("<>=|")

    def dtype(self) -> np.dtype[Any]:
        """Return the type."""
        return np.dtype(self.text)


class _Array(_StandIn):
    """Stands in for an array, as created by `_reconstruct`."""

    def __init__(self, kind: Any = None, shape: Any = None, code: Any = None) -> None:
        self.state: tuple[tuple[int, ...], _Type, bool, Any] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, is_fortran, data = state
        self.state = (_shape(shape), _type(kind), bool(is_fortran), data)

    def finish(self, done: dict[int, Any]) -> Any:
        """Return the array."""
        if self.state is None:
            raise PickleError("has an array without content")
        shape, kind, is_fortran, data = self.state
        if kind.dtype().hasobject:
            if not isinstance(data, list) or len(data) != math.prod(shape):
                raise PickleError("has an object array without its items")
            items = [_finished(item, done) for item in data]
            return _nested(items, shape, is_fortran)
        return _from_bytes(_raw(data), kind, shape, "F" if is_fortran else "C")


class _Buffer(_StandIn):
    """Stands in for an array in protocol 5."""

    def __init__(self, data: Any, kind: Any, shape: Any, order: Any = "C") -> None:
        self.parts = (_raw(data), _type(kind), _shape(shape), "F" if order == "F" else "C")

    def finish(self, done: dict[int, Any]) -> Any:
        """Return the array."""
        return _from_bytes(*self.parts)


class _Scalar(_StandIn):
    """Stands in for a numpy scalar."""

    def __init__(self, kind: Any, data: Any = b"") -> None:
        self.parts = (_type(kind), data)

    def finish(self, done: dict[int, Any]) -> Any:
        """Return the number."""
        kind, data = self.parts
        return _from_bytes(_raw(data), kind, (), "C").item()


class _Encoded(_StandIn):
    """Stands in for `codecs.encode`, which protocol 2 uses to write bytes."""

    def __init__(self, text: Any, encoding: Any = "latin-1") -> None:
        # Other codecs decompress or do worse.
        if not isinstance(text, str) or str(encoding).replace("-", "").lower() != "latin1":
            raise PickleError(f"may use only the encoding latin-1 (found {encoding!r})")
        self.data = text.encode("latin-1")

    def finish(self, done: dict[int, Any]) -> bytes:
        """Return the bytes."""
        return self.data


_NAMES: Final[dict[tuple[str, str], Any]] = {
    ("numpy", "ndarray"): "numpy.ndarray",  # only an argument of _reconstruct
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _Encoded,
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _Array),
            ("multiarray", "scalar", _Scalar),
            ("numeric", "_frombuffer", _Buffer),
        )
    },
}


class _Reader(pickle._Unpickler):
    """Resolve names to stand-ins, and reject all other names.

    It is based on the Python implementation: the one in C allocates a table up to the greatest memo
    index in the pickle, which may be 4,000,000,000 in a damaged file.
    """

    def __init__(self, stream: Any) -> None:
        super().__init__(stream, encoding="latin-1")

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name."""
        try:
            return _NAMES[module, name]
        except KeyError:
            raise PickleError(
                f"may contain only arrays, lists, maps and numbers (found {module}.{name})"
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        """Reject references to objects outside the file."""
        raise PickleError("may not refer to anything outside it")


def _finished(value: Any, done: dict[int, Any]) -> Any:
    """Return `value` with stand-ins replaced by arrays; `done` contains those replaced before."""
    if id(value) in done:
        return done[id(value)]
    made: Any
    if isinstance(value, _StandIn):
        made = value.finish(done)
    elif isinstance(value, dict):
        made = {_finished(key, done): _finished(item, done) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        made = [_finished(item, done) for item in value]
        made = tuple(made) if isinstance(value, tuple) else made
    elif value is None or isinstance(value, bool | int | float | str | bytes | bytearray):
        return value
    else:
        raise PickleError(f"may not hold a {type(value).__name__}")
    done[id(value)] = made
    return made


def _from_bytes(data: Any, kind: _Type, shape: tuple[int, ...], order: str) -> Any:
    dtype = kind.dtype()
    if dtype.hasobject or len(data) != math.prod(shape) * dtype.itemsize:
        raise PickleError(
            f"has an array of {len(data)} bytes where {dtype} {shape} takes "
            f"{math.prod(shape) * dtype.itemsize}"
        )
    flat = np.frombuffer(bytes(data), dtype=dtype)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def _raw(data: Any) -> bytes:
    """Return the content of an array as bytes, for any protocol."""
    if isinstance(data, _Encoded):
        return data.data
    if isinstance(data, str):  # Python 2's bytes
        return data.encode("latin-1")
    if not isinstance(data, bytes | bytearray):
        raise PickleError("has an array whose content is no bytes")
    return bytes(data)


def _nested(items: list[Any], shape: tuple[int, ...], is_fortran: bool) -> Any:
    if not shape:
        return items[0]
    places = np.arange(len(items)).reshape(shape, order="F" if is_fortran else "C")

    def at(part: Any) -> Any:
        return [at(row) for row in part] if np.ndim(part) else items[int(part)]

    return at(places)


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple) or len(value) > 32:
        raise PickleError(f"has an array whose shape is {value!r}")
    if not all(isinstance(size, int) and 0 <= size < 2**48 for size in value):
        raise PickleError(f"has an array whose shape is {value!r}")
    return value


def _type(value: Any) -> _Type:
    if not isinstance(value, _Type):
        raise PickleError("has an array without a type")
    return value
