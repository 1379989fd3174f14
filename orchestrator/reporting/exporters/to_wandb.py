"""Offline runs of W&B, which `wandb sync` uploads: the id of a run is the same in every export."""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.errors import SweepError
from orchestrator.files import plain
from orchestrator.reporting.exporters.exported_run import ExportedRun, Exporter, safe_part


def _write(run: ExportedRun, before: str, folder: Path) -> str:
    try:
        import wandb
    except ImportError:
        raise SweepError("--to wandb needs the package wandb. `pip install wandb`.") from None
    if before:
        shutil.rmtree(folder / before, ignore_errors=True)
    started = wandb.init(
        mode="offline",
        dir=str(folder),
        id=run.identity[:16],
        project=safe_part(run.sweep),
        name=run.name[:128],
        config=plain(dict(run.config)),
        notes=run.path,
        tags=[run.state] if run.state else None,
        reinit="create_new",
        settings=wandb.Settings(
            silent=True, console="off", disable_git=True, save_code=False, x_disable_stats=True
        ),
    )
    for step, at, metrics in run.points:
        started.log({**metrics, "_timestamp": at}, step=step)
    started.summary.update(dict(run.summary))
    where = Path(started.dir).parent
    started.finish(exit_code=1 if run.state == "FAIL" else 0)
    return str(where.absolute().relative_to(folder.absolute()))


EXPORTER = Exporter("wandb", _write, "wandb sync {folder}/wandb/offline-run-*")
