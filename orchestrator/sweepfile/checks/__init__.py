"""Checks across the keys of a sweep file."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.sweepfile.checks.keys import refuse_unbounded as refuse_unbounded
    from orchestrator.sweepfile.checks.result_conditions import root_of as root_of

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "keys": ["refuse_unbounded"],
        "result_conditions": ["root_of"],
    },
)
