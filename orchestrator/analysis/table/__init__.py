"""From run folders to one ranked table."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.analysis.table.export import (
        cell as cell,
        flat_rows as flat_rows,
        load_results as load_results,
        to_csv as to_csv,
        to_json as to_json,
    )
    from orchestrator.analysis.table.noise import (
        Difference as Difference,
        between_runs as between_runs,
        between_seeds as between_seeds,
    )
    from orchestrator.analysis.table.rank import compare as compare
    from orchestrator.analysis.table.replicates import MEAN_OF as MEAN_OF
    from orchestrator.analysis.table.rows import (
        Comparison as Comparison,
        Incomplete as Incomplete,
        Row as Row,
    )
    from orchestrator.analysis.table.run_folder import Audited as Audited, audit as audit

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "export": ["cell", "flat_rows", "load_results", "to_csv", "to_json"],
        "noise": ["Difference", "between_runs", "between_seeds"],
        "rank": ["compare"],
        "replicates": ["MEAN_OF"],
        "rows": ["Comparison", "Incomplete", "Row"],
        "run_folder": ["Audited", "audit"],
    },
)
