"""Report from Hugging Face's Trainer, or end its training if it diverged, outside sweeps as well.

::

    from orchestrator.callbacks.transformers import SweepCallback
    trainer = Trainer(..., callbacks=[SweepCallback()])

    from orchestrator.callbacks.transformers import StopDiverged
    trainer = Trainer(..., callbacks=[StopDiverged()])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback

from orchestrator.callbacks.script import report
from orchestrator.divergence import DivergenceRule


class SweepCallback(TrainerCallback):
    """Report what is logged: ``train_loss``, ``val_…`` for ``eval_…``; steps are global steps."""

    def on_log(self, args: Any, state: Any, control: Any, **known: Any) -> None:
        """Report one entry of the log, except the summary of the training."""
        metrics = _metrics(known.get("logs") or {})
        if metrics and state.is_world_process_zero:
            report(state.global_step, **metrics)


class StopDiverged(TrainerCallback):
    """End the training once its logged loss shows that it is lost.

    Attributes:
        reason: why it was ended; None if it was not.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._rule = DivergenceRule()

    def on_log(self, args: Any, state: Any, control: Any, **known: Any) -> None:
        """Judge one entry of the log."""
        verdict = self._rule.update(state.global_step, _metrics(known.get("logs") or {}))
        if verdict.stops:
            self.reason = verdict.reason
            control.should_training_stop = True


def _metrics(logs: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a log entry by our names; {} for the summary of the training."""
    if "train_runtime" in logs:
        return {}
    return {
        _ours(name): float(value)
        for name, value in logs.items()
        if name != "epoch" and isinstance(value, int | float)
    }


def _ours(name: str) -> str:
    if name == "loss":
        return "train_loss"
    return f"val_{name.removeprefix('eval_')}" if name.startswith("eval_") else name
