"""A diagnosis with its logs and configs in one ZIP file, to share."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

from orchestrator.analysis import Examination
from orchestrator.errors import UsageError
from orchestrator.files import plain
from orchestrator.runs import RunDir, SweepDir

LARGEST_BYTES = 8 * 2**20
"""Only the end of a larger log is packed."""

_OF_A_RUN = ("metadata.json", "state.json", "metrics.jsonl", "log.txt", "config.json")


def write_bundle(target: Path, found: Examination, diagnosis: str) -> int:
    """Write a diagnosis (Markdown), logs and configs and return the number of files.

    Arrays and checkpoints are left out. The file is replaced atomically.

    Raises:
        UsageError: the file cannot be written.
    """
    files: dict[str, Path] = {}
    for index, one in enumerate(found.runs):
        path = one.run.path
        if path.is_file():
            files.setdefault(f"logs/{path.name}", path)
            continue
        folder = f"runs/{index:04d}-{SweepDir.called(Path(), path.name).name}"
        files |= {f"{folder}/{name}": path / name for name in _OF_A_RUN if (path / name).is_file()}
        spec = path.parent.parent / "spec.json"
        if RunDir(path).number is not None and spec.is_file():
            files.setdefault(f"{SweepDir.called(Path(), spec.parent.name).name}/spec.json", spec)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("diagnosis.md", diagnosis + "\n")
            text = json.dumps(plain(found.to_dict()), indent=2, ensure_ascii=False)
            packed.writestr("diagnosis.json", text)
            for name, path in files.items():
                packed.writestr(name, _end_of(path))
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UsageError(f"--bundle: cannot write {target}: {error.strerror}.") from None
    return len(files) + 2


def _end_of(path: Path) -> bytes:
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - LARGEST_BYTES))
        return stream.read()
