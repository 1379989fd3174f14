"""The argument list that a W&B ``command`` means, macros put in; no shell sees it.

An item is a macro of W&B only if it is one from ``${`` to ``}``; ``${envvar:NAME}`` and our own
(`sweepfile.program.macros`) are replaced inside an item too. ``${program}`` is put in when the file
is read.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.sweepfile.program.macros import RESUME, Macros, is_ours, parameters_in
from orchestrator.sweepfile.program.styles import arguments

DEFAULT = ("${env}", "${interpreter}", "${program}", "${args}")
ARGS = (
    "args",
    "args_no_hyphens",
    "args_no_boolean_flags",
    "args_no_equals",
    "args_json",
    "args_json_file",
    "args_append_hydra",
    "args_override_hydra",
)
MACROS = ("env", "interpreter", "program", *ARGS)
_WHOLE = re.compile(r"\$\{([^{}]*)\}")
_ENVVAR = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")


def macro(item: str) -> str | None:
    """Return the name of the macro that an item is, or None; ``${envvar:NAME}`` is none."""
    match = _WHOLE.fullmatch(item)
    return None if match is None or _ENVVAR.fullmatch(item) else match[1]


def passes_parameters(command: Sequence[str]) -> bool:
    """Tell whether a command hands the parameters to its program."""
    return any(macro(item) in ARGS for item in command) or bool(parameters_in(command))


def needs_json_file(command: Sequence[str]) -> bool:
    """Tell whether a command needs a file with the parameters."""
    return any(macro(item) == "args_json_file" for item in command)


def command_line(
    command: Sequence[str],
    config: Mapping[str, Any],
    *,
    environ: Mapping[str, str],
    python: str = "python",
    json_file: str | None = None,
    macros: Macros | None = None,
    resume: Sequence[str] = (),
    style: str = "--k=v",
    booleans: str = "value",
) -> list[str]:
    """Return the argument list of one trial.

    A word that names a parameter which the trial has not is left out.

    Args:
        command: the items, with ``${program}`` put in already.
        config: parameter name to value, of those that ``${args}`` and the like stand for; they
            go in the order of the names.
        environ: for ``${envvar:NAME}``.
        python: what ``${interpreter}`` stands for.
        json_file: path of a file that holds `config` as JSON, for ``${args_json_file}``.
        macros: what our own macros stand for; by default those of `config` alone.
        resume: what ``${resume}`` stands for.
        style: how ``${args}`` is written, where it is not as W&B does.
        booleans: the same of its booleans.

    Raises:
        ValueError: the command needs a `json_file` and there is none.
        TrialError: a macro stands for something that this trial has not.
    """
    known = replace(macros or Macros(config), environ=environ)
    words: list[str] = []
    for item in command:
        name = macro(item)
        if name is None or is_ours(item):
            word = known.put_in(item)
            words += [] if word is None else [word]
        elif item == RESUME:
            words += resume
        elif name == "args":
            words += arguments(config, style=style, booleans=booleans)
        elif name == "env":
            words += [] if sys.platform == "win32" else ["/usr/bin/env"]
        elif name == "interpreter":
            words.append(python)
        elif name == "args_json_file":
            if json_file is None:
                raise ValueError("${args_json_file} needs a file")
            words.append(json_file)
        elif name in ARGS:
            words += _arguments(name, config)
    return words


def _arguments(name: str, config: Mapping[str, Any]) -> list[str]:
    ordered = {key: config[key] for key in sorted(config)}
    if name == "args_json":
        return [json.dumps(ordered)]
    if name == "args_no_equals":
        return [word for key, value in ordered.items() for word in (f"--{key}", str(value))]
    if name == "args_no_boolean_flags":
        flags = [(key, value) for key, value in ordered.items() if value is not False]
        return [f"--{key}" if value is True else f"--{key}={value}" for key, value in flags]
    before = {"args_append_hydra": "+", "args_override_hydra": "++"}.get(name, "")
    return [f"{before}{key}={value}" for key, value in ordered.items()]


def parameter_file(config: Mapping[str, Any]) -> str:
    """Return `config` as the YAML in which W&B hands it to ``wandb.init``.

    A program whose command passes no parameters reads them from ``wandb.config``, which the
    environment variable ``WANDB_SWEEP_PARAM_PATH`` leads to this file.
    """
    import yaml

    entries = {key: {"value": config[key]} for key in sorted(config)}
    return str(yaml.safe_dump({"wandb_version": 1, **entries}, sort_keys=False))


def plain_form(command: Sequence[str]) -> tuple[str | None, str] | None:
    """Return interpreter and way of switches of a command that ``program`` alone says as well.

    Returns:
        The interpreter's name, None for the one that runs the sweep, and ``value`` or ``flag`` as
        ``args.booleans`` takes them; None where the command does something else.
    """
    items = list(command)
    if items[:1] in (["${env}"], ["/usr/bin/env"]):
        items = items[1:]
    if len(items) != 3 or items[1] != "${program}":
        return None
    booleans = {"${args}": "value", "${args_no_boolean_flags}": "flag"}.get(items[2])
    if booleans is None:
        return None
    if items[0] == "${interpreter}":
        return None, booleans
    return (items[0], booleans) if re.fullmatch(r"[\w./-]*python[\d.]*", items[0]) else None
