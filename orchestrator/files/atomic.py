"""Replace a file in one step: a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def replacing(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` that takes its place when the block ends well.

    The content is flushed to disk before the rename, so that a power cut leaves the old file or
    the new one. When the block raises, `path` is untouched and the temporary file is removed.

    Args:
        path: the file to replace; its folder must exist.
        mode: ``"wb"`` or ``"w"`` (UTF-8).

    Raises:
        OSError: the folder is missing, full or not writable.
    """
    encoding = None if "b" in mode else "utf-8"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, mode, encoding=encoding) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Replace the content of `path` by `text` (UTF-8) in one step."""
    with replacing(path, "w") as stream:
        stream.write(text)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace the content of `path` by `value` as indented JSON in one step.

    Non-finite floats are written as the strings ``"nan"``, ``"inf"`` and ``"-inf"``: strict JSON
    has no word for them, and a reader in another language should not stumble.
    """
    write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in `path`, or None where it is missing, torn or not an object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def plain(value: Any) -> Any:
    """Return `value` in types that strict JSON knows.

    Mappings become dicts with string keys, sequences and sets lists, numpy scalars Python numbers,
    paths strings, and non-finite floats the strings ``"nan"``, ``"inf"``, ``"-inf"``.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return plain(value.item())
    return str(value)


def _umask() -> int:
    # There is no call that reads the mask without setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
