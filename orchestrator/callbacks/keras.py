"""Report from Keras.

::

    from orchestrator.callbacks.keras import SweepCallback
    model.fit(..., callbacks=[SweepCallback()])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras.callbacks import Callback

from orchestrator.callbacks.script import report


class SweepCallback(Callback):
    """Report each epoch, from 1; the names of training metrics get the prefix ``train_``."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Report the epoch's metrics."""
        metrics = {
            name if name.startswith("val_") or name == "learning_rate" else f"train_{name}": value
            for name, value in (logs or {}).items()
        }
        if metrics:
            report(epoch + 1, **metrics)
