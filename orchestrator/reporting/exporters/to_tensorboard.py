"""TensorBoard event files: a folder for each run, with its config for the HParams page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.files import plain
from orchestrator.reporting.exporters.exported_run import ExportedRun, Exporter, safe_part


def _write(run: ExportedRun, before: str, folder: Path) -> str:
    from tensorboardX.record_writer import RecordWriter

    place = folder / safe_part(run.sweep) / safe_part(run.name)
    place.mkdir(parents=True, exist_ok=True)
    # A TensorBoard that runs reads a new file; in one that is replaced it would see nothing new.
    target = place / f"events.out.tfevents.{time.time_ns() // 1000}.{run.digest}"
    partial = target.with_name(f".{target.name}")
    writer = RecordWriter(str(partial))
    for event in _events(run):
        writer.write(event.SerializeToString())
    writer.close()
    partial.replace(target)
    if before:
        (folder / before).unlink(missing_ok=True)
    return str(target.relative_to(folder))


def _events(run: ExportedRun) -> Iterator[Any]:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.summary import hparams

    yield Event(wall_time=run.started, file_version="brain.Event:2")
    config = {name: _setting(value) for name, value in run.config.items()}
    first, second, last = hparams(config, dict.fromkeys(run.summary, 0.0))
    yield Event(wall_time=run.started, summary=first)
    yield Event(wall_time=run.started, summary=second)
    steps = 0
    for step, at, metrics in run.points:
        values = [Summary.Value(tag=name, simple_value=one) for name, one in metrics.items()]
        if values:
            yield Event(wall_time=at, step=step, summary=Summary(value=values))
        steps = max(steps, step)
    logged = {name for _, _, metrics in run.points for name in metrics}
    values = [
        Summary.Value(tag=name, simple_value=value)
        for name, value in run.summary.items()
        if name not in logged
    ]
    if values:
        yield Event(wall_time=run.ended, step=steps, summary=Summary(value=values))
    if run.is_over:
        yield Event(wall_time=run.ended, summary=last)


def _setting(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(plain(value))


EXPORTER = Exporter("tensorboard", _write, "tensorboard --logdir {folder}")
