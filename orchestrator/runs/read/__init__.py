"""Read what a run folder holds, ours or another tool's, each file once, unpickling nothing.

In goes a `RunFolder` or a path; out comes a `StoredRun`.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.runs.read.stored_run import (
        StoredRun as StoredRun,
        open_run as open_run,
        value_at as value_at,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"stored_run": ["StoredRun", "open_run", "value_at"]}
)
