"""Keys of the sweep file that are records of their own, one module each.

A module defines ``OPTION``. Adding a module here is all it takes: the checker, `sweep schema`,
``--set``, the sweep's record and the docs test pick it up. `Spec.options` has the value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from orchestrator.files.discover import records
from orchestrator.sweepfile.schema.containers import SpecKey

if TYPE_CHECKING:
    from orchestrator.sweepfile.checks.parsed_file import ParsedFile
    from orchestrator.sweepfile.model.spec import Spec

__all__ = ["Option", "all_options"]


@dataclass(frozen=True, kw_only=True)
class Option(SpecKey):
    """A key of the sweep file whose value is in `Spec.options` under its name.

    Attributes:
        may_change: True if it may differ when a sweep is continued, since no config depends on it.
        check: reports what is wrong with the key in a file whose other keys are good.
    """

    name: str
    may_change: bool = False
    check: Callable[[ParsedFile, Spec], None] | None = None


@cache
def all_options() -> Mapping[str, Option]:
    """Return every such key by name."""
    return {option.name: option for option in records(__name__, "OPTION")}
