"""The metrics that a script prints or writes into files, joined into reports.

In: the script's output, and the log files that it or the sweep file names. Out: one report for
each step, to the trial's run.
"""

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
