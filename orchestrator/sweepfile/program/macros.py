"""Macros in commands and files: W&B's, such as ``${args}``, and ours, such as ``${params:NAME}``.

A macro of W&B is a whole word. Ours and ``${envvar:NAME}`` are replaced inside a word too. What is
inserted is not read again: a value that looks like a macro stays as it is. ``${program}`` is
inserted when the file is read.
"""

from __future__ import annotations

import glob
import json
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from orchestrator.errors import TrialError
from orchestrator.files import plain
from orchestrator.sweepfile.model.program import ParamsFile, Program
from orchestrator.sweepfile.program import config_text
from orchestrator.sweepfile.program.argument_styles import MACRO_STYLES, arguments, native
from orchestrator.sweepfile.yaml.parse import MAX_DEPTH, MAX_UNFOLDED, RefusedError, measure

_ABSENT = object()
_JSON = ("args_json", "args_json_file")
WHOLE = ("env", "interpreter", "program", "args", *MACRO_STYLES, *_JSON, "resume")
"""Macros that are a whole word."""
INSIDE = ("run_dir", "seed", "epochs", "data_fraction", "device", "params_file", "checkpoint")
"""Macros that are replaced inside a word too."""
_HINTS = {
    "epochs": "Give the parameter epochs a value.",
    "params_file": "Write params_file.",
    "checkpoint": "It is for resume only.",
}
_WHOLE = re.compile(r"\$\{(?!envvar:[A-Z0-9_]*\}|env:|hidden:)([^{}]*)\}")
_INSIDE = re.compile(rf"\$\{{(?:params:([^{{}}]+)|({'|'.join(INSIDE)})|envvar:([A-Z0-9_]*))\}}")


def whole(word: str) -> str | None:
    """Return the name of the macro that is a whole word; None if it is no macro."""
    match = _WHOLE.fullmatch(word)
    return None if match is None else match[1]


def has_macros(text: str) -> bool:
    """Return whether `text` has a macro of ours."""
    return any(found[3] is None for found in _INSIDE.finditer(text))


def parameters_in(texts: Iterable[str]) -> set[str]:
    """Return the parameters that ``${params:NAME}`` names in `texts`."""
    return {found[1] for text in texts for found in _INSIDE.finditer(text) if found[1] is not None}


def names_in(texts: Iterable[str]) -> set[str]:
    """Return the names of our other macros in `texts`, such as ``run_dir``."""
    return {found[2] for text in texts for found in _INSIDE.finditer(text) if found[2] is not None}


def passes_parameters(command: Iterable[str]) -> bool:
    """Return whether a command passes the parameters to its program."""
    words = list(command)
    macros = {"args", *MACRO_STYLES, *_JSON}
    return any(whole(word) in macros for word in words) or bool(parameters_in(words))


def for_shell(text: str) -> tuple[str, list[str]]:
    """Return a shell's text with variables for macros, and the macro of each variable.

    A value can be anything and is never read as a command: ``--lr ${params:lr}`` becomes
    ``--lr ${SWEEP_0}``. As with any variable, quote one that may hold spaces.
    """
    held: list[str] = []

    def variable(found: re.Match[str]) -> str:
        held.append(found[0])
        return f"${{SWEEP_{len(held) - 1}}}"

    return _INSIDE.sub(variable, text), held


@dataclass(frozen=True)
class Macros:
    """What the macros of one trial stand for.

    Attributes:
        seed: the sweep's, used if the config has none under `seed_parameter`.
        environ: for ``${envvar:NAME}``; a variable that is not set stands for its name.
        passed: the parameters that ``${args}`` and the like stand for.
        json_file: path of a file with `passed` as JSON; None if there is none.
        style: how ``${args}`` writes arguments, with `booleans` and `spelling`.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    run_dir: str = "RUN_DIR"
    device: str = "cpu"
    seed: int = 0
    seed_parameter: str = "seed"
    params_file: str | None = None
    checkpoint: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    passed: Mapping[str, Any] = field(default_factory=dict)
    python: str = "python"
    json_file: str | None = None
    resume: Sequence[str] = ()
    style: str = "--k=v"
    booleans: str = "value"
    spelling: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, program: Program, config: Mapping[str, Any], directory: Path | None) -> Self:
        """Return the macros of a trial; `directory` is None if it has no run directory yet."""
        return cls(
            native(config),
            run_dir="RUN_DIR" if directory is None else str(directory.absolute()),
            seed=program.seed,
            seed_parameter=program.seed_parameter,
            params_file=program.params_file.write if program.params_file else None,
            environ=os.environ,
        )

    def words(self, command: Iterable[str]) -> list[str]:
        """Return the argument list that a command means, without words of absent parameters.

        Raises:
            ValueError: the command needs `json_file`, or a value cannot be written as JSON.
            TrialError: a macro has no value in this trial.
        """
        found: list[str] = []
        for item in command:
            name = whole(item)
            if name in WHOLE:
                found += self._whole(name)
            elif name is None or _INSIDE.search(item):
                word = self.put_in(item)
                found += [] if word is None else [word]
            # Any other macro vanishes, as in W&B.
        return found

    def _whole(self, name: str) -> Sequence[str]:
        """Return the words that replace a macro that is a whole word."""
        if name in MACRO_STYLES:
            return arguments(self.passed, style=name)
        match name:
            case "env":
                return [] if sys.platform == "win32" else ["/usr/bin/env"]
            case "interpreter":
                return [self.python]
            case "args":
                return arguments(
                    self.passed,
                    style=self.style,
                    booleans=self.booleans,
                    spelling=self.spelling,
                )
            case "args_json":
                return [json.dumps(dict(sorted(self.passed.items())))]
            case "args_json_file":
                if self.json_file is None:
                    raise ValueError("${args_json_file} needs a file")
                return [self.json_file]
            case "resume":
                return self.resume
        return []

    def unnamed(self, texts: Iterable[str]) -> dict[str, Any]:
        """Return the parameters that no ``${params:NAME}`` in `texts` names."""
        named = parameters_in(texts)
        return {name: value for name, value in self.config.items() if name not in named}

    def put_in(self, text: str) -> str | None:
        """Return `text` with its macros replaced; None if it names an absent parameter.

        A parameter is absent if its ``when`` is false. A macro without a value is a TrialError.
        """
        return self._put_in(text, self._text)

    def put_in_glob(self, text: str) -> str | None:
        """Return a glob as `put_in` does; special characters in a value are escaped."""
        return self._put_in(text, lambda found: glob.escape(self._text(found)))

    def expanded(self) -> dict[str, Any]:
        """Return the config with the macros in its texts replaced.

        Raises:
            TrialError: a macro has no value in this trial.
        """

        def expand(value: Any) -> Any:
            if isinstance(value, list):
                return [expand(item) for item in value]
            if isinstance(value, Mapping):
                return {key: expand(item) for key, item in value.items()}
            return self.put_in(value) if isinstance(value, str) and has_macros(value) else value

        return {name: expand(value) for name, value in self.config.items()}

    def _put_in(self, text: str, value: Callable[[re.Match[str]], str]) -> str | None:
        if any(self._find(name) is _ABSENT for name in parameters_in([text])):
            return None
        return _INSIDE.sub(value, text)

    def _find(self, name: str) -> Any:
        """Return the value of a parameter, also of a nested one."""
        if name in self.config:
            return self.config[name]
        value: Any = self.config
        for part in name.split("."):
            value = value.get(part, _ABSENT) if isinstance(value, Mapping) else _ABSENT
        return value

    def _text(self, found: re.Match[str]) -> str:
        """Return what replaces a macro inside a word."""
        parameter, name, variable = found.groups()
        if parameter is not None:
            return str(native(self._find(parameter)))
        if variable is not None:
            return self.environ.get(variable, variable)
        values = {
            "run_dir": self.run_dir,
            "seed": self.config.get(self.seed_parameter, self.seed),
            "epochs": self.config.get("epochs"),
            "data_fraction": self.config.get("data_fraction", 1.0),
            "device": self.device,
            "params_file": self.params_file,
            "checkpoint": self.checkpoint,
        }
        if values[name] is None:
            hint = _HINTS.get(name, "")
            raise TrialError(f"${{{name}}}: has no value in this trial. {hint}")
        return str(native(values[name]))


def params_text(file: ParamsFile, macros: Macros) -> str:
    """Return the content of the file from which one trial's program reads its parameters.

    In a file of JSON, YAML or TOML the macros are replaced, and each parameter that no macro names
    is set: the key of its exact name if there is one, else ``optim.lr`` as ``lr`` in ``optim``. A
    value that is only ``${params:lr}`` keeps its type. In INI and Python files the values that are
    assigned are set; in other files only macros are replaced.

    Raises:
        TrialError: the source cannot be read, or the file cannot hold the values.
    """
    where = file.source or file.write
    kind = Path(where).suffix.lower()
    try:
        text = Path(file.source).read_text(encoding="utf-8") if file.source else ""
        if kind not in _FORMATS:
            left = sorted(macros.unnamed([text]))
            if left and kind in config_text.SETTABLE:
                filled = macros.put_in(text) or ""
                return config_text.with_settings(filled, kind, macros.unnamed([text]))
            if left:
                raise ValueError(
                    f"{file.source or 'it'} does not name ${{params:{left[0]}}}; only files of "
                    "JSON, YAML, TOML, INI and Python have keys that can be set"
                )
            return macros.put_in(text) or ""
        read, write = _FORMATS[kind]
        content = read(text) if text.strip() else {}
        if not isinstance(content, dict):
            raise ValueError("it is not a mapping")
        texts: list[str] = []
        filled = _fill(content, macros, texts)
        for name, value in macros.unnamed(texts).items():
            _set(filled, name, value)
        return write(filled)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise TrialError(f"params_file {where}: cannot set the parameters: {error}.") from None


def _fill(content: Any, macros: Macros, texts: list[str]) -> Any:
    """Return `content` with its macros replaced; add all its texts to `texts`."""
    if isinstance(content, Mapping):
        return {key: _fill(value, macros, texts) for key, value in content.items()}
    if isinstance(content, list):
        return [_fill(value, macros, texts) for value in content]
    if not isinstance(content, str):
        return content
    texts.append(content)
    parameter = (whole(content) or "").removeprefix("params:")
    if parameter in macros.config and content == f"${{params:{parameter}}}":
        return macros.config[parameter]
    return macros.put_in(content) if has_macros(content) else content


def _set(content: dict[str, Any], name: str, value: Any) -> None:
    """Set the key of a parameter's name; a dotted name may be inside other mappings."""
    if isinstance(value, Mapping) and isinstance(content.get(name), dict):
        for key, item in value.items():
            _set(content[name], str(key), item)
        return
    first, _, rest = name.partition(".")
    if name in content or not rest:
        content[name] = value
        return
    if not isinstance(content.get(first), dict):
        content[first] = {}
    _set(content[first], rest, value)


def _read_yaml(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads 1e-5 as a number, as every other YAML reader does."""

    number = re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d+")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    try:
        measure(text, Loader, MAX_DEPTH, MAX_UNFOLDED)
        return yaml.load(text, Loader=Loader)
    except RefusedError as error:
        raise ValueError(error.message.rstrip(".")) from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _write_yaml(content: Any) -> str:
    import yaml

    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


_FORMATS: dict[str, tuple[Callable[[str], Any], Callable[[Any], str]]] = {
    ".json": (json.loads, lambda content: json.dumps(content, indent=2, ensure_ascii=False) + "\n"),
    ".yaml": (_read_yaml, _write_yaml),
    ".yml": (_read_yaml, _write_yaml),
    ".toml": (tomllib.loads, config_text.dumps),
}


def parameters_yaml(config: Mapping[str, Any], *, wandb: bool = False) -> str:
    """Return parameters as YAML, in which small floats stay numbers.

    `wandb` is True for the form that W&B passes to ``wandb.init``. A program whose command passes
    no parameters reads it from ``wandb.config``, by the variable ``WANDB_SWEEP_PARAM_PATH``.
    """
    import yaml

    entries = {key: plain(native(config[key])) for key in sorted(config)}
    if wandb:
        entries = {"wandb_version": 1, **{key: {"value": item} for key, item in entries.items()}}
    return str(yaml.safe_dump(entries, sort_keys=False, allow_unicode=not wandb))
