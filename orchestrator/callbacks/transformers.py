"""Report from Hugging Face's Trainer.

::

    from orchestrator.callbacks.transformers import SweepCallback
    trainer = Trainer(..., callbacks=[SweepCallback()])
"""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from orchestrator.callbacks.script import report


class SweepCallback(TrainerCallback):
    """Report what is logged: ``train_loss``, ``val_…`` for ``eval_…``; steps are global steps."""

    def on_log(self, args: Any, state: Any, control: Any, **known: Any) -> None:
        """Report one entry of the log, except the summary of the training."""
        logs = known.get("logs") or {}
        if not state.is_world_process_zero or "train_runtime" in logs:
            return
        metrics = {
            _ours(name): float(value)
            for name, value in logs.items()
            if name != "epoch" and isinstance(value, int | float)
        }
        if metrics:
            report(state.global_step, **metrics)


def _ours(name: str) -> str:
    if name == "loss":
        return "train_loss"
    return f"val_{name.removeprefix('eval_')}" if name.startswith("eval_") else name
