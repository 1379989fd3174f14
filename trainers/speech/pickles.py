"""Reading pickles of arrays without running anything that they say.

A pickle is a program: it may name any function of any module and have it called. Here it may name
six, all of which numpy writes into a pickle of arrays, and what it gets are stand-ins of ours that
only keep what they are told. Arrays are made from them at the end, out of bytes, types and shapes
that were checked. Lists, tuples, maps, numbers, strings and bytes are data of the format itself.
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
    """A pickle that is damaged, or holds something other than arrays, lists, maps and numbers."""


def load_arrays(path: Path) -> Any:
    """Return what the pickle `path` holds, with arrays as numpy arrays.

    Object arrays become lists (of lists, one for each axis).

    Raises:
        PickleError: it names anything but arrays, or is damaged.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        return loads_arrays(stream)


def loads_arrays(stream: io.BufferedIOBase | io.BytesIO) -> Any:
    """Return what the pickle in `stream` holds; see `load_arrays`."""
    try:
        return _finished(_Reader(stream).load(), {})
    except PickleError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise PickleError(f"not a whole pickle ({type(error).__name__}: {error})") from None


class _StandIn:
    """What a pickle gets in place of something that it names."""

    def __setstate__(self, state: Any) -> None:
        # Without this a pickle could set any attribute of the object.
        raise PickleError(f"may not change a {type(self).__name__.strip('_').lower()}")

    def finish(self, done: dict[int, Any]) -> Any:
        """Return what it stands for; `done` as in `_finished`."""
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
        # (version, byte order, subtype, names, fields, ...): of plain types only the order counts.
        order = state[1].decode() if isinstance(state[1], bytes) else state[1]
        if order not in _BYTE_ORDERS or any(item is not None for item in state[2:5]):
            raise PickleError("may contain only arrays of plain types (found a structured one)")
        if order in "<>":
            self.text = order + self.text.lstrip("<>=|")

    def dtype(self) -> np.dtype[Any]:
        """Return the type."""
        return np.dtype(self.text)


class _Array(_StandIn):
    """Stands in for an array that is still to come; `_reconstruct` makes it."""

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
    """Stands in for an array in the form of protocol 5."""

    def __init__(self, data: Any, kind: Any, shape: Any, order: Any = "C") -> None:
        self.parts = (_raw(data), _type(kind), _shape(shape), "F" if order == "F" else "C")

    def finish(self, done: dict[int, Any]) -> Any:
        """Return the array."""
        return _from_bytes(*self.parts)


class _Scalar(_StandIn):
    """Stands in for a number of numpy's types."""

    def __init__(self, kind: Any, data: Any = b"") -> None:
        self.parts = (_type(kind), data)

    def finish(self, done: dict[int, Any]) -> Any:
        """Return the number."""
        kind, data = self.parts
        return _from_bytes(_raw(data), kind, (), "C").item()


class _Encoded(_StandIn):
    """Stands in for `codecs.encode`, by which protocol 2 writes bytes."""

    def __init__(self, text: Any, encoding: Any = "latin-1") -> None:
        # Other codecs decompress, or worse.
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
    """Hands out stand-ins, and refuses every other name.

    It is the reader in Python: the one in C makes a table as long as the greatest place that a
    pickle names, and a damaged one may name place 4,000,000,000.
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
        """Refuse what stands outside the file."""
        raise PickleError("may not refer to anything outside it")


def _finished(value: Any, done: dict[int, Any]) -> Any:
    """Return `value` with arrays in place of their stand-ins; `done` holds what was met before."""
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
    """Return the content of an array as bytes, in whichever form the protocol wrote it."""
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
