"""Hyperparameter sweeps that fit the GPU memory that is really free.

Usage in a notebook::

    from orchestrator import load_results
    table = load_results("results")

    from orchestrator import plots
    plots.curves("results/edc_weights")  # a Plotly figure

in the user's own training script, inside a sweep or not::

    from orchestrator import config, report, run_dir
    report(epoch, val_mae=0.12)

and in the user's own Optuna study::

    from orchestrator import DivergencePruner
    study = optuna.create_study(pruner=DivergencePruner())

Nothing heavy is imported until a name is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.analysis.table import load_results
    from orchestrator.callbacks import report
    from orchestrator.reporting import plots
    from orchestrator.search import DivergencePruner

    config: dict[str, Any]
    run_dir: Path

__all__ = [
    "DivergencePruner",
    "__version__",
    "config",
    "load_results",
    "plots",
    "report",
    "run_dir",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
    if name == "load_results":
        from orchestrator.analysis.table import load_results

        return load_results
    if name == "DivergencePruner":
        from orchestrator.search import DivergencePruner

        return DivergencePruner
    if name == "plots":
        from orchestrator.reporting import plots

        return plots
    from orchestrator.callbacks import script

    if name == "report":
        return script.report
    return script.read_config() if name == "config" else script.find_run_dir()
