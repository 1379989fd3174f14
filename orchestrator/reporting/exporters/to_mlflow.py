"""An MLflow file store: an experiment for each sweep.

It is written here and not by MLflow: that brings a hundred packages, and of a file store, which
newer versions read and convert but no longer develop, the format changes no more.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

from orchestrator.files import atomic, plain
from orchestrator.reporting.exporters.exported_run import ExportedRun, Exporter

_UNSAFE = re.compile(r"[^\w\-. :/]+")
_LONGEST_VALUE = 6000  # that MLflow reads
_FINISHED, _FAILED, _KILLED, _RUNNING, _SCHEDULED = 3, 4, 5, 1, 2
_STATUS = {"FAIL": _FAILED, "PRUNED": _KILLED, "RUNNING": _RUNNING, "WAITING": _SCHEDULED}
_LOCAL_SOURCE = 4


def _write(run: ExportedRun, before: str, folder: Path) -> str:
    # MLflow's ids are numbers of 18 digits.
    number = int(hashlib.sha256(run.sweep.encode()).hexdigest()[:15], 16)
    experiment = folder / f"{number % 10**18:018d}"
    _write_experiment(run, experiment)
    target, partial = experiment / run.identity, experiment / f".{run.identity}"
    shutil.rmtree(partial, ignore_errors=True)
    for name in ("artifacts", "metrics", "params", "tags"):
        (partial / name).mkdir(parents=True)
    _write_meta(
        partial,
        run_id=run.identity,
        run_uuid=run.identity,
        run_name=run.name,
        experiment_id=experiment.name,
        artifact_uri=(target / "artifacts").absolute().as_uri(),
        start_time=_millis(run.started),
        end_time=_millis(run.ended) if run.is_over else None,
        status=_STATUS.get(run.state, _FINISHED),
        lifecycle_stage="active",
        source_type=_LOCAL_SOURCE,
        source_name="",
        source_version="",
        entry_point_name="",
        user_id="",
        tags=[],
    )
    for name, value in run.config.items():
        text = value if isinstance(value, str) else json.dumps(plain(value))
        _put(partial / "params", name, text[:_LONGEST_VALUE])
    tags = {"mlflow.runName": run.name, "sweep.path": run.path, "sweep.state": run.state}
    for name, value in tags.items():
        _put(partial / "tags", name, value)
    lines: dict[str, list[str]] = {}
    for step, at, metrics in run.points:
        for name, value in metrics.items():
            lines.setdefault(name, []).append(f"{_millis(at)} {value!r} {step}")
    last = max((step for step, _, _ in run.points), default=0)
    for name, value in run.summary.items():
        lines.setdefault(name, [f"{_millis(run.ended)} {value!r} {last}"])
    for name, each in lines.items():
        _put(partial / "metrics", name, "\n".join(each) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return str(target.relative_to(folder))


def _write_experiment(run: ExportedRun, experiment: Path) -> None:
    if (experiment / "meta.yaml").exists():
        return
    experiment.mkdir(parents=True, exist_ok=True)
    at = _millis(run.started)
    _write_meta(
        experiment,
        experiment_id=experiment.name,
        name=run.sweep,
        artifact_location=experiment.absolute().as_uri(),
        creation_time=at,
        last_update_time=at,
        lifecycle_stage="active",
    )


def _write_meta(folder: Path, **content: Any) -> None:
    # JSON is YAML.
    atomic.write_text(folder / "meta.yaml", json.dumps(content, indent=1) + "\n")


def _put(folder: Path, name: str, text: str) -> None:
    parts = [part for part in _UNSAFE.sub("_", name).split("/") if part.strip(".")]
    path = folder.joinpath(*parts) if parts else folder / "_"
    if path.exists() or any(parent.is_file() for parent in path.parents):
        # Another name is equal without its signs, or is a folder of this one, as a and a/b.
        path = folder / f"{'_'.join(parts)}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _millis(seconds: float) -> int:
    return int(seconds * 1000)


EXPORTER = Exporter(
    "mlflow", _write, "MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {folder}"
)
