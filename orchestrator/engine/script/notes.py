"""What an attempt of a script leaves for the next one: ``script.json`` in the run directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.files import atomic
from orchestrator.runs.layout import RunDir


class Notes:
    """Reads and writes the notes of one trial; each change is on the disk at once.

    Args:
        directory: the run directory.
    """

    def __init__(self, directory: Path) -> None:
        self._file = RunDir(directory).script_file
        self._known: dict[str, Any] = atomic.read_json(self._file) or {}

    @property
    def outputs(self) -> Path | None:
        """The folder that the script made for itself; None where it made none."""
        found = self._known.get("outputs")
        return Path(found) if isinstance(found, str) else None

    @property
    def done(self) -> list[str]:
        """The steps that have ended well."""
        found = self._known.get("done")
        return [str(name) for name in found] if isinstance(found, list) else []

    def note(self, **facts: Any) -> None:
        """Keep `facts` for the next attempt."""
        if any(self._known.get(name) != value for name, value in facts.items()):
            self._known |= facts
            atomic.write_json(self._file, self._known)

    def forget(self) -> None:
        """Start anew."""
        self._known = {}
        self._file.unlink(missing_ok=True)
