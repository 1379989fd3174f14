"""Open the files of a run, which a stranger may have made.

A named pipe would block its reader for ever, a device never ends, and a link may lead to a private
file of whoever reads the run. So only regular files are opened, and of those that a folder was
searched for only the ones that are in it.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 512 << 20
"""Of a file that is read whole."""


def open_file(path: Path, within: Path | None = None) -> BinaryIO:
    """Open a regular file for reading; the caller closes it.

    Args:
        within: the folder that must hold the file once all links are followed; None for any.

    Raises:
        OSError: it is missing, not a regular file, or elsewhere.
    """
    # Looked at first, since to open some devices does something.
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if within is not None and leads_out(path, within):
        raise OSError(errno.EPERM, "it is a link that leads out of its folder", str(path))
    # It may have been replaced since: a pipe that nobody writes to must not block here.
    stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return stream


def read_bytes(path: Path, within: Path | None = None, most: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file of at most `most` bytes; see `open_file`."""
    with open_file(path, within) as stream:
        # Python reserves as much memory as it is told to read.
        size = os.fstat(stream.fileno()).st_size
        content = stream.read(min(max(size, 1 << 16), most) + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB", str(path))
    return content


def leads_out(path: Path, folder: Path) -> bool:
    """Return whether a path, once all links are followed, is outside `folder`."""
    if path.parent == folder and not path.is_symlink():
        return False
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
