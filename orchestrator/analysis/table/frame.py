"""Results as a pandas data frame, for notebooks. The only module that loads pandas."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.analysis import metrics as kinds
from orchestrator.analysis.table.export import flat_rows
from orchestrator.analysis.table.rank import compare

if TYPE_CHECKING:
    import pandas


def load_results(
    path: str | os.PathLike[str] = "results",
    *,
    sort_by: str | None = None,
    metrics: str | None = None,
    rate: float | None = None,
) -> pandas.DataFrame:
    """Return the rows of ``sweep compare PATH`` as a data frame, best first.

    Usage::

        table = load_results("results")
        table[["trial", "config.lr", "val_mae", "mae"]]

    Args:
        path: any folder with runs, of ours or of other tools.
        sort_by: the metric that ranks; by default a validation metric.
        metrics: what arrays are whose run does not say, as ``"edc"``.
        rate: samples per second of those arrays, in Hz.

    Returns:
        One row per run that can be ranked. Columns ``rank``, ``sweep``, ``trial``, ``path``,
        ``state``, ``warnings`` (joined by ``"; "``), ``config.<name>``, each metric by its name,
        ``target.<metric>``. ``attrs`` holds ``sort_by``, ``goal``, ``notes`` and ``incomplete``
        (the runs that cannot be ranked).

    Raises:
        NotFoundError: `path` is no folder.
        UsageError: no run has the metric `sort_by`, or `metrics` names no kind of data.
    """
    import pandas as pd

    known: dict[str, Any] = {} if rate is None else {"rate_hz": rate}
    kind = None if metrics is None else kinds.resolve(metrics)
    comparison = compare([Path(path)], sort_by=sort_by, kind=kind, data=known)
    columns, rows = flat_rows(comparison)
    frame = pd.DataFrame([[row.get(name) for name in columns] for row in rows], columns=columns)
    whole = comparison.to_dict()
    frame.attrs.update({name: whole[name] for name in ("sort_by", "goal", "notes", "incomplete")})
    return frame
