"""Hyperparameter sweeps that fit the GPU memory that is really free.

Usage in a notebook::

    from orchestrator import load_results
    table = load_results("results")
    table.sort_values("val_mae").head()

Nothing heavy is imported until a name is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.analysis.frame import load_results

__all__ = ["__version__", "load_results"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "load_results":
        from orchestrator.analysis.frame import load_results

        return load_results
    raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
