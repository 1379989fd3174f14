"""Find run folders in any tree: from paths to a `RunFolder` of each run, ours or another tool's."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.runs.find.run_folders import (
        RunFolder as RunFolder,
        SweepInfo as SweepInfo,
        find_runs as find_runs,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"run_folders": ["RunFolder", "SweepInfo", "find_runs"]}
)
