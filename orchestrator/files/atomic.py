"""Replace a file in one step: a reader sees the old content or the new, never half of it.

And tell a disk that is full, gone or read-only from a fault of whoever wrote to it.
"""

from __future__ import annotations

import errno
import json
import numbers
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from orchestrator.files.regular import read_bytes

# No call reads the mask without setting it, which affects all threads: it is read once, while
# there is only one.
_UMASK = os.umask(0o077)
os.umask(_UMASK)

_FULL = (errno.ENOSPC, errno.EDQUOT)
_LIMITS = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
_PROBE_BYTES = 1 << 16
_LITTLE_BYTES = 1 << 30  # a script may have failed to write more than the probe


@contextmanager
def replacing(path: Path, *, private: bool = False, durable: bool = True) -> Iterator[IO[bytes]]:
    """Open a temporary file in the folder of `path` that replaces it when the block succeeds.

    If it is `private` only this user can read it, otherwise whom the umask lets.

    If it is `durable` the content is flushed to disk before the rename, so that a power cut leaves
    the old file or the new one; otherwise only a killed writer does. If the block raises, `path`
    is unchanged and the temporary file is removed.

    Raises:
        OSError: the folder is missing, full or not writable.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        temporary.chmod(0o600 if private else 0o666 & ~_UMASK)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(folder: Path, names: Iterable[str]) -> None:
    """Remove the temporary files of killed writers of `names`, which no other process may write."""
    starts = tuple(f".{name}." for name in names)
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(starts) and entry.name.endswith(".tmp"):
                Path(entry.path).unlink(missing_ok=True)


def write_text(path: Path, text: str, *, private: bool = False, durable: bool = True) -> None:
    """Replace the content of `path` by `text` (UTF-8) in one step."""
    with replacing(path, private=private, durable=durable) as stream:
        stream.write(_text(text).encode())


def write_json(
    path: Path, value: Mapping[str, Any], *, private: bool = False, durable: bool = True
) -> None:
    """Replace the content of `path` by `value` as indented strict JSON in one step; see `plain`."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n"
    write_text(path, text, private=private, durable=durable)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in `path`, or None if it is missing, torn or not an object."""
    try:
        value = json.loads(read_bytes(path, path.parent))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def plain(value: Any) -> Any:
    """Return `value` in types that strict JSON knows.

    Mappings become dicts with string keys; sequences, sets and arrays lists; numbers of other
    libraries Python's; non-finite floats the strings ``"nan"``, ``"inf"``, ``"-inf"``; everything
    else, such as a path, its string.
    """
    if type(value) is float:  # nearly all values of reports; tests for kinds take longer
        return value if value - value == 0 else str(value)
    if isinstance(value, Mapping):
        return {_text(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return plain(float(value))
    if hasattr(value, "tolist"):
        listed = value.tolist()
        # Some types of numpy have no counterpart in Python and stay what they are.
        return str(value) if type(listed) is type(value) else plain(listed)
    return _text(str(value))


def disk_trouble(folder: Path, message: str) -> str | None:
    """Return what is wrong with the disk of `folder` after a failure; None if nothing is.

    It is tried, since the error of a library or a script need not name the cause.

    Args:
        message: of the failure.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
        names_it = any(os.strerror(number) in message for number in _FULL)
        if names_it and shutil.disk_usage(folder).free < _LITTLE_BYTES:
            return "the disk is full"
    except OSError as error:
        return None if error.errno in _LIMITS else what_is_wrong(error, folder)
    return None


def what_is_wrong(error: OSError, folder: Path) -> str:
    """Return why files below `folder` cannot be read or written."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return f"the disk is full ({reason})"
    if error.errno in _LIMITS:
        return f"the system refuses more files, processes or memory ({reason}; see `ulimit -a`)"
    if error.errno == errno.ENOENT and not folder.exists():
        return "the folder was removed, moved or unmounted"
    if error.errno == errno.ENOENT:
        return f"files in it were removed ({error.filename})"
    return f"cannot be read and written any more ({error})"


def _text(value: str) -> str:
    # A file name that is not UTF-8 reaches Python, also in error messages, with halves of
    # surrogate pairs; no file in UTF-8 can hold these.
    return value.encode("utf-8", "backslashreplace").decode("utf-8")
