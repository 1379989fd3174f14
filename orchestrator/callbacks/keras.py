"""Report from Keras, or end a training of Keras that diverged, outside sweeps as well.

::

    from orchestrator.callbacks.keras import SweepCallback
    model.fit(..., callbacks=[SweepCallback()])

    from orchestrator.callbacks.keras import StopDiverged
    model.fit(..., callbacks=[StopDiverged()])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras.callbacks import Callback

from orchestrator.callbacks.script import report
from orchestrator.divergence import DivergenceRule


def _metrics(logs: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        name if name.startswith("val_") or name == "learning_rate" else f"train_{name}": value
        for name, value in (logs or {}).items()
    }


class SweepCallback(Callback):
    """Report each epoch, from 1; the names of training metrics get the prefix ``train_``."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Report the epoch's metrics."""
        metrics = _metrics(logs)
        if metrics:
            report(epoch + 1, **metrics)


class StopDiverged(Callback):
    """End the training at the epoch at which it is lost.

    Attributes:
        reason: why it was ended; None if it was not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reason: str | None = None
        self._rule = DivergenceRule()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Judge the epoch's metrics."""
        values = {name: float(value) for name, value in _metrics(logs).items()}
        verdict = self._rule.update(epoch + 1, values)
        if verdict.stops:
            self.reason = verdict.reason
            self.model.stop_training = True
