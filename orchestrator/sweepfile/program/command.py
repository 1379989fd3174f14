"""The words that start a program: put in what is known, and say what would go wrong in silence.

The argument list that a W&B ``command`` means, macros put in; no shell sees it.

An item is a macro of W&B only if it is one from ``${`` to ``}``; ``${envvar:NAME}`` and our own
(`sweepfile.program.macros`) are replaced inside an item too. ``${program}`` is put in when the file
is read.

Our own macros in the words of a command: ``${params:NAME}``, ``${run_dir}`` and so on.

Unlike W&B's they are replaced inside a word too, and what is put in is never read again: a value
that looks like a macro stays as it is.
"""

from __future__ import annotations

import glob
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.errors import TrialError
from orchestrator.sweepfile.model.program import Program
from orchestrator.sweepfile.program.argument_styles import arguments, native
from orchestrator.sweepfile.program.interpreters import locate
from orchestrator.sweepfile.yaml.node import Log, Node

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


NAMES = ("run_dir", "seed", "epochs", "data_fraction", "device", "params_file", "checkpoint")
"""What a word may hold beside ``${params:NAME}``."""
PARAMETER = "params:"
RESUME = "${resume}"
"""As a word of its own: the words that let a program go on from its checkpoint, or nothing."""

_OURS = re.compile(rf"\$\{{(?:{PARAMETER}([^{{}}]+)|({'|'.join(NAMES)})|envvar:([A-Z0-9_]*))\}}")

_ABSENT = object()


@dataclass(frozen=True)
class Macros:
    """What the macros of one trial stand for.

    Attributes:
        config: parameter name to value.
        run_dir: the run directory.
        device: ``cpu`` or ``cuda``.
        seed: of the sweep, where the config has none.
        seed_parameter: the parameter that holds the config's.
        params_file: the file with the parameters; None where there is none.
        checkpoint: what to go on from; None where the trial starts anew.
        environ: for W&B's ``${envvar:NAME}``; one that is not set stands for its bare name.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    run_dir: str = "RUN_DIR"
    device: str = "cpu"
    seed: int = 0
    seed_parameter: str = "seed"
    params_file: str | None = None
    checkpoint: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)

    def put_in(self, text: str) -> str | None:
        """Return `text` with its macros put in; None where it names a parameter that is absent.

        A parameter may be absent because its ``when`` does not hold.

        Raises:
            TrialError: a macro stands for something that this trial has not.
        """
        return self._put_in(text, self._text)

    def put_in_glob(self, text: str) -> str | None:
        """Return a glob as `put_in` does; what is put in means itself, its brackets and stars too.

        Raises:
            TrialError: a macro stands for something that this trial has not.
        """
        return self._put_in(text, lambda found: glob.escape(self._text(found)))

    def _put_in(self, text: str, value: Callable[[re.Match[str]], str]) -> str | None:
        if any(self._find(name) is _ABSENT for name in parameters_in([text])):
            return None
        return _OURS.sub(value, text)

    def _find(self, name: str) -> Any:
        """Return the value of a parameter, also of one that stands inside another."""
        if name in self.config:
            return self.config[name]
        value: Any = self.config
        for part in name.split("."):
            value = value.get(part, _ABSENT) if isinstance(value, Mapping) else _ABSENT
        return value

    def _text(self, found: re.Match[str]) -> str:
        parameter, name, variable = found.groups()
        if parameter is not None:
            return str(native(self._find(parameter)))
        if variable is not None:
            return self.environ.get(variable, variable)
        values: dict[str, Any] = {
            "run_dir": self.run_dir,
            "device": self.device,
            "seed": self.config.get(self.seed_parameter, self.seed),
            "epochs": self.config.get("epochs"),
            "data_fraction": self.config.get("data_fraction", 1.0),
            "params_file": self.params_file,
            "checkpoint": self.checkpoint,
        }
        if values[name] is None:
            hints = {
                "epochs": "Give the parameter epochs a value.",
                "params_file": "Write params_file.",
                "checkpoint": "It is for the words of resume.",
            }
            raise TrialError(f"${{{name}}}: must stand for something, but does not. {hints[name]}")
        return str(native(values[name]))


def parameters_in(texts: Iterable[str]) -> set[str]:
    """Return the parameters that ``${params:NAME}`` names in `texts`."""
    return {found[1] for text in texts for found in _OURS.finditer(text) if found[1] is not None}


def names_in(texts: Iterable[str]) -> set[str]:
    """Return the other macros of ours that `texts` hold."""
    return {found[2] for text in texts for found in _OURS.finditer(text) if found[2] is not None}


def is_ours(text: str) -> bool:
    """Tell whether `text` holds a macro of ours."""
    return any(found[3] is None for found in _OURS.finditer(text))


def for_shell(text: str) -> tuple[str, list[str]]:
    """Return a shell's text whose macros are variables, and what each variable is to hold.

    So a value can be anything and is never read as a command: ``--lr ${params:lr}`` becomes
    ``--lr ${SWEEP_0}``. As with any variable, one that may hold blanks stands in double quotes.
    """
    held: list[str] = []

    def variable(found: re.Match[str]) -> str:
        held.append(found[0])
        return f"${{SWEEP_{len(held) - 1}}}"

    return _OURS.sub(variable, text), held


_KNOWN = (*MACROS, *NAMES, "resume")
_MACRO = re.compile(r"\$\{[^{}]*\}")


def with_command(
    program: Program,
    values: Mapping[str, Any],
    root: Node,
    folder: Path,
    log: Log,
) -> Program:
    """Return a program that is started by the words of ``command``.

    What W&B would swallow in silence is told: macros that it does not know, or that stand inside
    a word, and a command that hands over no parameters.
    """
    words, where = values["command"], root.get("command") or root
    written = values.get("program")
    if isinstance(words, str):
        if program.shell:
            return _for_shell(program, words, where, log)
        default = ", ".join(DEFAULT)
        message = f"should be a list; as in W&B it is not used, but [{default}]."
        log.warn(where, "command", message)
        words = DEFAULT
    elif program.shell:
        log.at(where, "command", "must be one text for a shell. Write command: 'python train.py'.")
    if written is None and "${program}" in words:
        log.at(where, "command", "needs program for ${program}, but there is none.")
    tell_words(words, "command", where, log)
    if not (passes_parameters(words) or _hands_over(program, values)):
        message = "passes no parameters: the program finds them in wandb.config. Or add '${args}'."
        log.warn(where, "command", message)
    put_in = program_put_in(words, written, folder)
    start = next((word for word in put_in if macro(word) is None), "")
    program = replace(program, command=put_in, path=program.path or start)
    plain = plain_form(words)
    if plain is not None and program.path.endswith(".py") and "args" not in values:
        python, booleans = plain
        python = None if python is None else locate(python, folder) or python
        return replace(program, python=program.python or python, booleans=booleans)
    return program


def program_put_in(words: Sequence[str], written: str | None, folder: Path) -> tuple[str, ...]:
    """Return `words` with the program in place of ``${program}``."""
    put_in: list[str] = []
    for word in words:
        if word == "${program}" and written is not None:
            # As it is written, since it runs in the file's folder; another system's \\ set right.
            is_there = os.path.exists(folder / written) or "\\" not in written
            put_in.append(written if is_there else written.replace("\\", "/"))
        else:
            put_in.append(word)
    return tuple(put_in)


def tell_words(words: Sequence[str], key: str, where: Node, log: Log) -> None:
    """Say what no macro is and looks like one, and what is meant for a shell."""
    for word in words:
        name = macro(word)
        if is_ours(word) or word == RESUME:
            continue
        if name is not None and name not in MACROS:
            hint = log.hint(name, _KNOWN) or f" A parameter is ${{{PARAMETER}{name}}}."
            log.warn(where, key, f"has {word}, which is no macro and vanishes.{hint}")
        elif name is None and any(f"${{{known}}}" in word for known in (*MACROS, "resume")):
            log.warn(where, key, f"has a macro inside {word!r}, where none is replaced.")
        elif name is None and re.search(r"\$\{(?!envvar:)", word):
            known = f"a parameter is ${{{PARAMETER}NAME}}"
            log.warn(where, key, f"has {word!r} as it stands; {known}.")
        elif word in ("&&", "||", "|", ";", ">", "<"):
            message = f"has {word!r}, but no shell reads it. One does with shell: true."
            log.warn(where, key, message)


def tell_names(
    texts: Sequence[str], key: str, where: Node, known: Sequence[str], program: Program, log: Log
) -> None:
    """Say which macros of ours in `texts` stand for nothing.

    Args:
        texts: words or texts with macros.
        key: where they stand, for messages.
        where: the same, for the line.
        known: the parameters that the file names.
        program: what the file says of the program.
        log: takes the mistakes.
    """
    for name in sorted(parameters_in(texts) - set(known)):
        message = f"has ${{{PARAMETER}{name}}}, which no parameter is called."
        log.at(where, key, f"{message}{log.hint(name, known)}")
    names = names_in(texts)
    if "epochs" in names and "epochs" not in known:
        log.at(where, key, "has ${epochs}, but no parameter epochs is set. Add it to fixed.")
    if "params_file" in names and program.params_file is None:
        log.at(where, key, "has ${params_file}, but there is none. Write params_file: params.yaml.")
    if "checkpoint" in names and not key.startswith("resume"):
        log.at(where, key, "has ${checkpoint}, which is for resume alone. Write ${resume} here.")
    if RESUME in texts and program.resume is None:
        log.at(where, key, "has ${resume}, but resume does not say what that is.")


def _hands_over(program: Program, values: Mapping[str, Any]) -> bool:
    """Tell whether parameters reach the program by another way than its arguments."""
    return program.params_file is not None or bool(parameters_in(program.env.values()))


def _for_shell(program: Program, text: str, where: Node, log: Log) -> Program:
    """Return a program whose command a shell reads; ``${args}`` becomes its arguments."""
    macros = {found[2:-1] for found in _MACRO.findall(text)} & set(MACROS)
    for name in sorted(macros - {"program", "args"}):
        log.at(where, "command", f"has ${{{name}}}, but a shell's text has ${{args}} alone.")
    if "program" in macros and not program.path:
        log.at(where, "command", "needs program for ${program}, but there is none.")
    if program.resume is not None and "args" not in macros:
        log.at(where, "command", "must have ${args}, through which the words of resume come.")
    if "args" not in macros and not is_ours(text) and not _hands_over(program, {}):
        log.warn(where, "command", "passes no parameters. Add ${args} or ${params:NAME}.")
    return replace(program, command=(text,), path=program.path or text.split(maxsplit=1)[0])
