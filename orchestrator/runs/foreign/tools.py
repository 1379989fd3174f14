"""Run folders of other tools: which tool made one, its config, and what it logged last.

Known are folders of W&B (offline), MLflow's file store, Hydra, Ray Tune, Lightning, Hugging
Face's Trainer, and of scripts that keep a ``config.yaml``, ``config.json`` or ``args.json``.
Nothing is imported or unpickled, and a file that cannot be read is a problem that is told, never
an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from orchestrator.files import jsonl
from orchestrator.runs.curves.curve import LogProblem
from orchestrator.runs.curves.formats.wandb_log import WandbLog
from orchestrator.runs.curves.log_reader import read_log
from orchestrator.runs.foreign import metadata
from orchestrator.sweepfile.yaml import LenientError, read_yaml

_MOST_BYTES = 32 << 20


@dataclass
class Found:
    """What a tool left in a folder.

    Attributes:
        config: parameter values, nested ones with dots.
        logged: the metrics that it logged last, or as its summary tells them.
        problems: what could not be read, one sentence each.
    """

    config: dict[str, Any] = field(default_factory=dict)
    logged: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Tool:
    """One kind of run folder.

    Attributes:
        name: for people.
        marks: names, files or folders, that all must be there; they may hold ``*``.
        read: reads such a folder.
        inner: folders in it that are part of the run, and no runs themselves.
        is_own: True if nobody but the tool makes such folders; False for marks that stand in
            other folders too.
        is_complete: True if such a run has no arrays of its own and is whole without them.
    """

    name: str
    marks: tuple[str, ...]
    read: Callable[[Path, Found], None]
    inner: tuple[str, ...] = ()
    is_own: bool = True
    is_complete: bool = True


def recognise(names: Collection[str]) -> Tool | None:
    """Return the tool that made a folder with these files and folders, None if none is known."""
    return next((tool for tool in TOOLS if all(_has(mark, names) for mark in tool.marks)), None)


def _has(mark: str, names: Collection[str]) -> bool:
    return mark in names or ("*" in mark and any(fnmatchcase(name, mark) for name in names))


def read_tool(tool: Tool, folder: Path) -> Found:
    """Return what `tool` left in `folder`."""
    found = Found()
    tool.read(folder, found)
    return found


def read_values(path: Path | None, pattern: str, found: Found) -> dict[str, Any]:
    """Return the values in a YAML or JSON file, nested ones with dots.

    Args:
        path: the file; None if `pattern` found none, which is a problem then.
        pattern: as somebody named the file.
        found: what is known of its folder; problems are added there.
    """
    if path is None:
        found.problems.append(f"there is no {pattern}")
        return {}
    return metadata.flatten(_mapping(path, found))


def _wandb(folder: Path, found: Found) -> None:
    # Releases of before 2024 wrote both files; what the log says is newer.
    config = _mapping(folder / "files" / "config.yaml", found)
    found.config = metadata.flatten(
        {key: value for key, value in config.items() if key not in ("_wandb", "wandb_version")}
    )
    summary = _mapping(folder / "files" / "wandb-summary.json", found)
    found.logged = metadata.numbers(
        {key: value for key, value in summary.items() if key[:1] != "_"}
    )
    for path in sorted(folder.glob("run-*.wandb")):
        log = WandbLog(path)
        try:
            log.read()
        except LogProblem as problem:
            found.problems.append(f"{path.name} cannot be read: {problem}")
            continue
        found.config |= metadata.flatten(log.config)
        for _, metrics in log.reports:
            found.logged |= metrics


def _mlflow(folder: Path, found: Found) -> None:
    found.config = {
        str(path.relative_to(folder / "params")): _scalar(_text(path, found).strip())
        for path in _files(folder / "params")
    }
    for path in _files(folder / "metrics"):
        # "<milliseconds> <value> <step>" a line.
        lines = _text(path, found).split("\n")
        words = next((line.split() for line in reversed(lines) if line.strip()), [])
        value = metadata.as_number(_scalar(words[1])) if len(words) > 1 else None
        if value is not None:
            found.logged[str(path.relative_to(folder / "metrics"))] = value


def _hydra(folder: Path, found: Found) -> None:
    found.config = metadata.flatten(_mapping(folder / ".hydra" / "config.yaml", found))


def _ray(folder: Path, found: Found) -> None:
    found.config = metadata.flatten(_mapping(folder / "params.json", found))
    log = folder / "result.json"  # JSON lines, in spite of its name
    last = (jsonl.read_last(log) if log.is_file() else None) or {}
    found.logged = metadata.numbers({key: value for key, value in last.items() if key != "config"})


def _lightning(folder: Path, found: Found) -> None:
    found.config = metadata.flatten(_mapping(folder / "hparams.yaml", found))
    _last_of_log(folder / "metrics.csv", found)


def _hugging_face(folder: Path, found: Found) -> None:
    for name in ("config.json", "args.json", "training_args.json"):
        found.config |= metadata.flatten(_mapping(folder / name, found))
    _last_of_log(folder / "trainer_state.json", found)


def _config_file(name: str) -> Callable[[Path, Found], None]:
    def read(folder: Path, found: Found) -> None:
        found.config = metadata.config_of(_mapping(folder / name, found), is_config=True)
        for log in ("metrics.csv", "results.csv", "training.csv", "history.csv"):
            if not found.logged and (folder / log).is_file():
                _last_of_log(folder / log, found)

    return read


TOOLS = (
    Tool("W&B", ("run-*.wandb",), _wandb, ("files", "logs", "tmp")),
    Tool(
        "MLflow",
        ("meta.yaml", "metrics", "params"),
        _mlflow,
        ("metrics", "params", "tags", "artifacts", "inputs", "outputs"),
    ),
    Tool("Ray Tune", ("params.json", "result.json"), _ray),
    Tool("Hydra", (".hydra",), _hydra, (".hydra",), is_complete=False),
    Tool("Lightning", ("hparams.yaml",), _lightning, ("checkpoints",)),
    Tool("Hugging Face", ("trainer_state.json",), _hugging_face),
    Tool("script", ("config.yaml",), _config_file("config.yaml"), is_own=False, is_complete=False),
    Tool("script", ("config.yml",), _config_file("config.yml"), is_own=False, is_complete=False),
    Tool("script", ("config.json",), _config_file("config.json"), is_own=False, is_complete=False),
    Tool("script", ("args.json",), _config_file("args.json"), is_own=False, is_complete=False),
    Tool("script", ("params.json",), _config_file("params.json"), is_own=False, is_complete=False),
)
"""In the order in which a folder is compared with them."""


def _last_of_log(path: Path, found: Found) -> None:
    """Take the last value of each series of a log."""
    if not path.is_file():
        return
    try:
        runs = read_log(path)
    except LogProblem as problem:
        found.problems.append(f"{path.name} cannot be read: {problem}")
        return
    for _, metrics in runs[0].reports if runs else ():
        found.logged |= metrics


def _mapping(path: Path, found: Found) -> dict[str, Any]:
    """Return the mapping in a YAML or JSON file; empty, with a problem, where there is none."""
    if not path.is_file():
        return {}
    text = _text(path, found)
    try:
        value = json.loads(text) if path.suffix == ".json" else read_yaml(text)
    except (LenientError, ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, LenientError) else "it is not JSON"
        found.problems.append(f"{path.name} cannot be read: {why}")
        return {}
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        found.problems.append(f"{path.name} cannot be read: it must hold a mapping")
        return {}
    return {str(key): item for key, item in value.items()}


def _text(path: Path, found: Found) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            found.problems.append(f"{path.name} is not read: it is larger than a config is")
            return ""
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        found.problems.append(f"{path.name} cannot be read: {error.strerror or error}")
    except UnicodeDecodeError:
        found.problems.append(f"{path.name} cannot be read: it is not UTF-8 text")
    return ""


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
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
