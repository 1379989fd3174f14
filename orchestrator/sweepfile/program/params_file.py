"""The file from which a program reads its parameters."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import TrialError
from orchestrator.files import plain, toml
from orchestrator.sweepfile.model.program import ParamsFile
from orchestrator.sweepfile.program.argument_styles import native
from orchestrator.sweepfile.program.macros import Macros, has_macros, whole


def params_text(file: ParamsFile, macros: Macros) -> str:
    """Return the content of one trial's file.

    In a file of JSON, YAML or TOML the macros are replaced, and each parameter that no macro names
    is set: the key of its exact name if there is one, else ``optim.lr`` as ``lr`` in ``optim``. A
    value that is only ``${params:lr}`` keeps its type. In other files only macros are replaced.

    Raises:
        TrialError: the source cannot be read, or the file cannot hold the values.
    """
    where = file.source or file.write
    kind = Path(where).suffix.lower()
    try:
        text = Path(file.source).read_text(encoding="utf-8") if file.source else ""
        if kind not in _FORMATS:
            left = sorted(macros.unnamed([text]))
            if left:
                raise ValueError(
                    f"{file.source or 'it'} does not name ${{params:{left[0]}}}; only files of "
                    "JSON, YAML and TOML have keys that can be set"
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
    except (OSError, ValueError, TypeError) as error:
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
        return yaml.load(text, Loader=Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _write_yaml(content: Any) -> str:
    import yaml

    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _write_json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


_FORMATS: dict[str, tuple[Callable[[str], Any], Callable[[Any], str]]] = {
    ".json": (json.loads, _write_json),
    ".yaml": (_read_yaml, _write_yaml),
    ".yml": (_read_yaml, _write_yaml),
    ".toml": (tomllib.loads, toml.dumps),
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
