"""Run folders of other tools: which tool made one, its config, and what it logged last."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from orchestrator.files import jsonl, regular
from orchestrator.runs.curves.cells import number
from orchestrator.runs.curves.formats.wandb_log import WandbLog
from orchestrator.runs.curves.log_reader import LogProblem, read_log
from orchestrator.runs.foreign.metadata import config_of, flatten, numbers
from orchestrator.runs.foreign.run_files import last_match

_MOST_BYTES = 32 << 20


@dataclass
class Found:
    """What a tool left in a folder."""

    config: dict[str, Any] = field(default_factory=dict)  # nested values with dots
    logged: dict[str, float] = field(default_factory=dict)  # the last metrics
    problems: list[str] = field(default_factory=list)  # what could not be read, a sentence each

    def read_mapping(self, path: Path) -> dict[str, Any]:
        """Return the mapping in a YAML or JSON file; empty if the file is missing or damaged."""
        if not path.is_file():
            return {}
        from orchestrator.sweepfile.yaml import LenientError, read_yaml

        text = self.read_text(path)
        try:
            value = json.loads(text) if path.suffix == ".json" else read_yaml(text)
        except LenientError as error:
            self.problems.append(f"{path.name} cannot be read: {error}")
            return {}
        except (ValueError, RecursionError):
            self.problems.append(f"{path.name} cannot be read: it is not JSON")
            return {}
        if value is not None and not isinstance(value, Mapping):
            self.problems.append(f"{path.name} cannot be read: it must hold a mapping")
            return {}
        return {str(key): item for key, item in (value or {}).items()}

    def read_text(self, path: Path) -> str:
        """Return the text of a file; "" if it cannot be read."""
        try:
            return regular.read_bytes(path, path.parent, _MOST_BYTES).decode("utf-8-sig")
        except OSError as error:
            self.problems.append(f"{path.name} cannot be read: {error.strerror or error}")
        except UnicodeDecodeError:
            self.problems.append(f"{path.name} cannot be read: it is not UTF-8 text")
        return ""

    def read_named(self, folder: Path, pattern: str) -> dict[str, Any]:
        """Return the values, nested ones with dots, in the file that a user named by `pattern`."""
        path = last_match(folder, pattern)
        if path is None:
            self.problems.append(f"there is no {pattern}")
            return {}
        return flatten(self.read_mapping(path))

    def take_log(self, path: Path) -> None:
        """Add the last value of each series of a log."""
        if not path.is_file():
            return
        try:
            runs = read_log(path)
        except LogProblem as problem:
            self.problems.append(f"{path.name} cannot be read: {problem}")
            return
        for _, metrics in runs[0].reports if runs else ():
            self.logged |= metrics
        # Reports may be means of many values.
        self.logged |= runs[0].last if runs else {}


@dataclass(frozen=True)
class Tool:
    """One kind of run folder."""

    name: str  # for people
    marks: tuple[str, ...]  # names, files or folders, that must all be there; * is allowed
    read: Callable[[Path, Found], None]
    inner: tuple[str, ...] = ()  # folders in it that are part of the run, not runs themselves
    is_own: bool = True  # only the tool makes such folders; other folders lack its marks


def recognize(names: Collection[str]) -> Tool | None:
    """Return the tool that made a folder with these files and folders, None if none is known."""
    return next((tool for tool in TOOLS if all(_has(mark, names) for mark in tool.marks)), None)


def _has(mark: str, names: Collection[str]) -> bool:
    return mark in names or ("*" in mark and any(fnmatchcase(name, mark) for name in names))


def _wandb(folder: Path, found: Found) -> None:
    # Releases of before 2024 wrote both files; the content of the log is newer.
    config = found.read_mapping(folder / "files" / "config.yaml")
    found.config = flatten(
        {key: value for key, value in config.items() if key not in ("_wandb", "wandb_version")}
    )
    summary = found.read_mapping(folder / "files" / "wandb-summary.json")
    found.logged = numbers({key: value for key, value in summary.items() if key[:1] != "_"})
    for path in sorted(folder.glob("run-*.wandb")):
        log = WandbLog(path)
        try:
            log.read()
        except LogProblem as problem:
            found.problems.append(f"{path.name} cannot be read: {problem}")
            continue
        found.config |= flatten(log.config)
        for _, metrics in log.reports:
            found.logged |= metrics


def _mlflow(folder: Path, found: Found) -> None:
    params, metrics = folder / "params", folder / "metrics"
    for path in _files(params):
        found.config[str(path.relative_to(params))] = _scalar(found.read_text(path).strip())
    for path in _files(metrics):
        # "<milliseconds> <value> <step>" a line.
        lines = [line.split() for line in found.read_text(path).split("\n") if line.strip()]
        value = number(lines[-1][1]) if lines and len(lines[-1]) > 1 else None
        if value is not None:
            found.logged[str(path.relative_to(metrics))] = value


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _scalar(text: str) -> Any:
    """Return the number, truth value or text that a file of one value holds."""
    words = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _ray(folder: Path, found: Found) -> None:
    found.config = flatten(found.read_mapping(folder / "params.json"))
    log = folder / "result.json"  # JSON lines, in spite of its name
    last = (jsonl.read_last(log) if log.is_file() else None) or {}
    found.logged = numbers({key: value for key, value in last.items() if key != "config"})


def _config_and_log(*configs: str, log: str | None = None) -> Callable[[Path, Found], None]:
    def read(folder: Path, found: Found) -> None:
        for name in configs:
            found.config |= flatten(found.read_mapping(folder / name))
        if log is not None:
            found.take_log(folder / log)

    return read


def _script(name: str) -> Tool:
    """Return the tool of a script that keeps its config in a file of that name."""

    def read(folder: Path, found: Found) -> None:
        found.config = config_of(found.read_mapping(folder / name), is_config=True)
        for log in ("metrics.csv", "results.csv", "training.csv", "history.csv"):
            if not found.logged:
                found.take_log(folder / log)

    return Tool("script", (name,), read, is_own=False)


_hydra = _config_and_log(".hydra/config.yaml")
_lightning = _config_and_log("hparams.yaml", log="metrics.csv")
_hugging_face = _config_and_log(
    "config.json", "args.json", "training_args.json", log="trainer_state.json"
)
_yolo = _config_and_log("args.yaml", log="results.csv")
_timm = _config_and_log("args.yaml", log="summary.csv")
_dvclive = _config_and_log("params.yaml")
_MLFLOW_PARTS = ("metrics", "params", "tags", "artifacts", "inputs", "outputs")

TOOLS = (
    Tool("W&B", ("run-*.wandb",), _wandb, ("files", "logs", "tmp")),
    Tool("MLflow", ("meta.yaml", "metrics", "params"), _mlflow, _MLFLOW_PARTS),
    Tool("DVCLive", ("plots", "metrics.json"), _dvclive, ("plots", "artifacts"), is_own=False),
    Tool("Ray Tune", ("params.json", "result.json"), _ray),
    Tool("Hydra", (".hydra",), _hydra, (".hydra",)),
    Tool("Lightning", ("hparams.yaml",), _lightning, ("checkpoints",)),
    Tool("Hugging Face", ("trainer_state.json",), _hugging_face),
    Tool("YOLO", ("args.yaml", "results.csv"), _yolo, ("weights",)),
    Tool("timm", ("args.yaml", "summary.csv"), _timm),
    Tool("Stable-Baselines3", ("progress.csv",), _config_and_log(log="progress.csv")),
    *map(_script, ("config.yaml", "config.yml", "config.json", "args.json", "params.json")),
    *map(_script, ("args.yaml", "opt.yaml")),
)
"""The first tool whose marks are all in a folder made it."""
