"""Parameters that a script reads elsewhere than in its arguments: files, and the environment."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.files import regular
from orchestrator.sweepfile.program import config_text
from orchestrator.sweepfile.program.parsers.script_options import Argument
from orchestrator.sweepfile.yaml import read_yaml

_PARAMS_FILE = re.compile(
    r"""['"]((?:[\w./-]*/)?(?:params?|config|conf|hparams|settings|parameters|hyperparameters)"""
    r"""\.(?:ya?ml|json|toml|ini|cfg))['"]"""
)
_ANY_FILE = re.compile(r"""['"]([\w./-]+\.(?:ya?ml|json|toml|ini|cfg))['"]""")
_PARAMS_MODULE = re.compile(
    r"^[ \t]*(?:from|import)\s+((?:\w+\.)*(?:config|conf|cfg|params|hparams|settings|constants"
    r"|parameters|hyperparameters))\b",
    re.MULTILINE,
)
_DEEPEST = 40
_MOST_LEAVES = 200  # a file with more of them holds data
PARAMS_ENDINGS = (".yaml", ".yml", ".json", ".toml", ".ini", ".cfg")
PYTHON_VARIABLE = re.compile(
    r"(?:environ(?:\.get)?\s*[\[(]|getenv\s*\()\s*['\"](?P<name>\w+)['\"]"
    r"(?:\s*,\s*(?P<default>[^,()\[\]]+?)\s*\))?"
)
SHELL_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::?[-=](?P<default>[^}$]*))\}")
_NOT_PARAMETERS = ("SWEEP_", "WANDB_", "CUDA_", "SLURM_", "OMP_", "HOME", "PATH", "PWD", "USER",
                   "RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_", "HF_", "XLA_", "TF_", "TOKEN",
                   "PYTHON", "TMPDIR", "LD_", "COLUMNS", "DISPLAY")  # fmt: skip


def hydra_options(file: Path, folder: str, name: str) -> Iterator[Argument]:
    """Yield the values of Hydra's primary config, and those of the groups in its defaults list."""
    base = file.parent / folder
    content = _content(base / (name if name.endswith((".yaml", ".yml")) else f"{name}.yaml"))
    found = {each.option: each for each in _leaves(content, "")}
    listed = content.get("defaults") if isinstance(content, dict) else None
    for entry in listed if isinstance(listed, list) else ():
        for group, option in entry.items() if isinstance(entry, dict) else ():
            if (
                isinstance(group, str)
                and isinstance(option, str)
                and re.fullmatch(r"[\w/]+", group)
            ):
                prefix = group.replace("/", ".") + "."
                for each in _leaves(_content(base / group / f"{option}.yaml"), prefix):
                    found.setdefault(each.option, each)
    yield from found.values()


def leaves_of(path: Path) -> list[Argument]:
    """Return the values in a file of parameters."""
    return list(_leaves(_content(path), ""))


def params_file_of(file: Path, source: str) -> tuple[str, list[Argument]]:
    """Return a file of parameters next to a script that its text names, and what it holds.

    That may be a module that assigns them. Of a file whose name does not show what it is, one of
    the values has to be a number.
    """
    names = _PARAMS_FILE.findall(source)
    names += [f"{name.replace('.', '/')}.py" for name in _PARAMS_MODULE.findall(source)]
    for name in dict.fromkeys([*names, *_ANY_FILE.findall(source)]):
        leaves = leaves_of(file.parent / name)
        has_number = any(leaf.type in (int, float) for leaf in leaves)
        if leaves and len(leaves) <= _MOST_LEAVES and (name in names or has_number):
            return name, leaves
    return "", []


def _content(path: Path) -> Any:
    try:
        text = regular.read_bytes(path).decode()
        if path.suffix in config_text.SETTABLE:
            found = config_text.settings_in(text, path.suffix)
            values = {name: at.value for name, at in found.items()}
            if path.suffix == ".py":
                return values
            return {name: _plain(value) for name, value in values.items() if value is not None}
        return tomllib.loads(text) if path.suffix == ".toml" else read_yaml(text)
    except (OSError, ValueError, RecursionError):  # damaged, or nested too deeply
        return None


def variables_of(source: str, pattern: re.Pattern[str]) -> tuple[Argument, ...]:
    """Return the environment variables that a text reads, with their defaults."""
    found: dict[str, Argument] = {}
    for match in pattern.finditer(source):
        name, text = match["name"], match["default"]
        if name.isupper() and not name.startswith(_NOT_PARAMETERS):
            value = None if text is None else _plain(text.strip("'\""))
            found.setdefault(name, Argument(name, None if value is None else type(value), value))
    return tuple(found.values())


def _plain(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _leaves(content: Any, prefix: str, depth: int = 0) -> Iterator[Argument]:
    if not isinstance(content, dict) or depth > _DEEPEST:
        return
    for key, value in content.items():
        if key in ("defaults", "hydra"):
            continue
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.", depth + 1)
        elif isinstance(value, bool | int | float | str):
            yield Argument(f"{prefix}{key}", type(value), value)
