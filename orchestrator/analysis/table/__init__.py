"""Compare runs: find, read, measure, rank and relate them, one step after the other.

In go paths; out comes a `Comparison` of ranked rows and incomplete runs, or what an audit found.
Printing is for the command line.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.analysis.measure.row import (
        Comparison as Comparison,
        Incomplete as Incomplete,
        Row as Row,
    )
    from orchestrator.analysis.table.audit_runs import (
        Audited as Audited,
        audit as audit,
    )
    from orchestrator.analysis.table.export import (
        cell as cell,
        flat_rows as flat_rows,
        load_results as load_results,
        to_csv as to_csv,
        to_json as to_json,
    )
    from orchestrator.analysis.table.pipeline import compare as compare

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "audit_runs": ["Audited", "audit"],
        "export": ["cell", "flat_rows", "load_results", "to_csv", "to_json"],
        "pipeline": ["Comparison", "Incomplete", "Row", "compare"],
    },
)
