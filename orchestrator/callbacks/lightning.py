"""Report from Lightning, or end a training of Lightning that diverged, outside sweeps as well.

::

    from orchestrator.callbacks.lightning import SweepCallback
    trainer = Trainer(callbacks=[SweepCallback()])

    from orchestrator.callbacks.lightning import StopDiverged
    trainer = Trainer(callbacks=[StopDiverged()])
"""

from __future__ import annotations

from typing import Any

try:
    from lightning.pytorch import Callback
except ImportError:  # the older name of the same package
    from pytorch_lightning import Callback

from orchestrator.callbacks.script import report
from orchestrator.divergence import DivergenceRule


class SweepCallback(Callback):
    """Report what was logged, after each validation and each epoch; steps are epochs from 0."""

    def __init__(self) -> None:
        self._before: set[str] = set()
        self._of_validation: set[str] = set()

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Remember what is logged before validation."""
        self._before = set(trainer.callback_metrics)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Report what validation logged, except in the check before training."""
        self._of_validation |= set(trainer.callback_metrics) - self._before
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._report(trainer, self._of_validation)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Report the rest; values of an earlier validation would look like this epoch's."""
        self._report(trainer, set(trainer.callback_metrics) - self._of_validation)

    def _report(self, trainer: Any, names: set[str]) -> None:
        known = trainer.callback_metrics
        metrics = {name: float(known[name]) for name in sorted(names) if name in known}
        if metrics and trainer.is_global_zero:
            report(trainer.current_epoch, **metrics)


class StopDiverged(Callback):
    """End the training after the epoch at which it is lost; the training loss must be logged.

    Attributes:
        reason: why it was ended; None if it was not.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self._rule = DivergenceRule()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Judge what was logged."""
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        verdict = self._rule.update(trainer.current_epoch, values)
        if verdict.stops:
            self.reason = verdict.reason
            trainer.should_stop = True
