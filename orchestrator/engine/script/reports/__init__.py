"""The metrics that a script prints or writes, joined into reports."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.engine.script.reports.output_lines import Lines as Lines, Tail as Tail

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "output_lines": ["Lines", "Tail"],
    },
)
