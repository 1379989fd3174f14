"""Parameters compared with the options that a script's own parser has, before anything runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from orchestrator.sweepfile.checks.parameters import synonym
from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.model.program import Program
from orchestrator.sweepfile.program.argument_styles import AUTO, arguments, has_parts
from orchestrator.sweepfile.program.macros import parameters_in, passes_parameters, whole
from orchestrator.sweepfile.program.parsers.outside_parameters import leaves_of
from orchestrator.sweepfile.program.parsers.script_options import Argument
from orchestrator.sweepfile.program.parsers.script_parser import ScriptParser, read_parser
from orchestrator.sweepfile.yaml.node import Node, found

_OWN_STYLES = {"hydra": "hydra", "configurator": "--k=v", "fire": "--k=v"}
_NOT_CHECKED = ("hydra", "environment", "params_file", "notebook", "")
Nodes = list[tuple[tuple[str, ...], Node, bool]]
"""The values of a parameter: path and node of each, and if it is a bound of a range."""
_WAY_OUT = "Or, if that is intended, write unused: true at the top level"


def parser_of(program: Program) -> ScriptParser | None:
    """Return how the script of a program takes its parameters; None if it cannot be read."""
    file = Path(program.path)
    if file.suffix not in ScriptParser.SUFFIXES or not os.path.isfile(file):
        return None
    conda = None if program.conda is None else str(Path(program.conda) / "bin" / "python")
    try:
        return read_parser(file, [program.python or conda or sys.executable, str(file)])
    except (OSError, SyntaxError):
        return None


def spelled(parser: ScriptParser | None) -> tuple[str, dict[str, tuple[str, str, str]]]:
    """Return the style of ``args: auto``, and how each option is written in it."""
    if parser is None:
        return "auto", {}
    found: dict[str, tuple[str, str, str]] = {}
    for argument in parser.parameters if parser.kind not in _NOT_CHECKED else ():
        way = "value"
        if argument.is_switch:
            way = "pair" if argument.off else "flag" if argument.typed_value else "off"
        elif argument.any_text_is_true:
            way = "empty"
        elif argument.takes_several:
            way = "several"
        row = (argument.option, way, argument.off)
        for name in (argument.option, *argument.aliases):
            found.setdefault(name.replace("-", "_"), row)
        if argument.dest:  # of --no-cuda with dest="cuda"
            way = "off" if argument.switches_off else way
            found.setdefault(argument.dest, (argument.option, way, argument.off))
    return _OWN_STYLES.get(parser.kind, "auto"), found


def check_options(file: ParsedFile, program: Program, parser: ScriptParser | None) -> None:
    """Report parameters that do not reach the script, and values that its parser refuses."""
    if file.values.get("unused") or program.shell:
        return
    if parser is not None and parser.kind == "notebook":
        _check_notebook(file, program, parser)
        return
    texts = [*program.command, *(w for step in program.steps for w in step.command)]
    named = parameters_in([*texts, *program.env.values()])
    given = {name: nodes for name, nodes in values_of(file).items() if name not in named}
    is_direct = not program.command and not program.steps
    passes = (is_direct and program.style != "none") or (not is_direct and passes_parameters(texts))
    if not passes or parser is None or program.params_file is not None:
        if is_direct and program.style == "none" and program.params_file is None:
            _check_none(file, given, parser)
        return
    words = {whole(word) for word in texts}
    script = Path(program.path).name
    if parser.reads_nothing and parser.params_file:
        text = f"{script} reads no arguments, but {parser.params_file}"
        text += f". Write params_file: {parser.params_file} and workdir: copy. {_WAY_OUT}."
        _report_unread(file, given, text)
        return
    if parser.reads_nothing:
        text = f"{script} reads no arguments, so that parameters change nothing. Let it read them"
        _report_unread(file, given, f"{text}, with argparse for instance. {_WAY_OUT}.")
        return
    path = Path(program.path)
    modules = {word.rpartition(".")[2] for word in texts}  # of python -m
    module = path.parent.name if path.stem == "__main__" else path.stem
    starts = is_direct or path.name in {Path(word).name for word in texts} or module in modules
    if (
        starts
        and parser.subcommands
        and not {*chain.from_iterable(map(str.split, texts))} & {*parser.subcommands}
    ):
        listed = ", ".join(parser.subcommands)
        example = f"command: [python, '${{program}}', {parser.subcommands[0]}, '${{args}}']"
        report = file.error if parser.requires_subcommand else file.warn
        report(f"{script} has sub-commands ({listed}). Name one: {example}.", "program")
        return
    given = _without_hyphens(file, program, given) if is_direct else given
    is_plain = is_direct or (bool(words & {"args", "args_no_boolean_flags"}) and starts)
    if not is_plain or not parser.arguments or parser.kind in _NOT_CHECKED:
        return
    given = _as_sent(file, program, given)
    for name, nodes in given.items():
        _check_parameter(file, program, parser, name, nodes)
    if parser.is_complete and not parser.has_subcommands:
        typed = " ".join(texts)
        known = {name.replace("-", "_") for name in given}
        for argument in parser.parameters:
            spellings = {argument.name, argument.dest, *argument.aliases}
            is_given = bool(known & {s.replace("-", "_") for s in spellings})
            is_typed = f"--{argument.option}" in typed or f"-{argument.option[0]} " in typed
            if argument.is_required and not (is_given or is_typed):
                message = f"{script} requires --{argument.option}. Give it a value in fixed."
                file.error(message, "command" if program.command else "program")


def _as_sent(file: ParsedFile, program: Program, given: Mapping[str, Nodes]) -> dict[str, Nodes]:
    """Return the parameters as they are sent: nested ones as one mapping, or mappings by parts."""
    sent: dict[str, Nodes] = {}

    def add(name: str, path: tuple[str, ...], node: Node, is_bound: bool) -> None:
        if isinstance(node.value, dict) and splits(name):
            for key, inner in node.value.items():
                add(f"{name}.{key}", (*path, key), inner, is_bound)
        else:
            sent.setdefault(name, []).append((path, node, is_bound))

    def splits(name: str) -> bool:
        return program.style == AUTO and has_parts(name, program.spelling)

    for name, nodes in given.items():
        path = file.nested.get(name, (name,))
        end = next((n for n in range(1, len(path)) if not splits(".".join(path[:n]))), len(path))
        for where, node, is_bound in nodes:
            if end < len(path):  # the value of this option is a mapping
                add(".".join(path[:end]), where, replace(node, value={}), is_bound)
            else:
                add(name, where, node, is_bound)
    return sent


def _without_hyphens(
    file: ParsedFile, program: Program, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the parameters but for those whose names begin with hyphens, which are reported."""
    kept = {}
    for name, nodes in given.items():
        word = next(iter(arguments({name: 0}, style=program.style, spelling=program.spelling)), "")
        if word.startswith("---"):
            message = f"is passed as {word}. Write the name without hyphens: {name.lstrip('-')}."
            file.error(message, *nodes[0][0])
        else:
            kept[name] = nodes
    return kept


def check_keys(file: ParsedFile, program: Program) -> None:
    """Warn of parameters that the file of parameters, if there is one, does not have."""
    if program.params_file is None or program.params_file.source is None:
        return
    source = Path(program.params_file.source)
    known = {leaf.option for leaf in leaves_of(source)}
    above = {name[:end] for name in known for end in range(len(name)) if name[end] == "."}
    for name in values_of(file) if known else ():
        if name not in known | above and not any(name.startswith(f"{key}.") for key in known):
            message = f"{source.name} has no key {name!r}, which is added to it."
            file.warn(f"{message}{file.log.hint(name, known)}", *file.key_of(name))


def _check_notebook(file: ParsedFile, program: Program, parser: ScriptParser) -> None:
    known = [item.option for item in parser.arguments]
    for name in values_of(file) if parser.is_complete else ():
        if name not in known:
            text = f"the parameters cell of {Path(program.path).name} does not set it."
            file.error(f"{text}{file.log.hint(name, known)}", *file.key_of(name))


def values_of(file: ParsedFile) -> dict[str, Nodes]:
    """Return each parameter's values, with the path of each; and if it is a bound of a range."""
    found: dict[str, Nodes] = {}
    for name, declared in file.parameters.items():
        path = file.key_of(name)
        leaves = [(path, node, key in ("min", "max")) for key, node in declared.leaves()]
        found[name] = leaves or [(path, declared.node, True)]
    for path, settings in file.settings():
        for name, node in settings.items():
            found.setdefault(name, []).append(((*path, name), node, False))
    for name, node in file.strongest.items():
        found.setdefault(name, []).append(((name,), node, False))
    seeds = file.values.get("seeds")
    if seeds:
        name = seeds.get("parameter", "seed") if isinstance(seeds, dict) else "seed"
        found.setdefault(name, [(("seeds",), replace(file.node("seeds"), value=0), False)])
    return found


def _check_none(file: ParsedFile, given: Mapping[str, Any], parser: ScriptParser | None) -> None:
    if parser is not None and not parser.reports_config:
        text = "args: none passes no parameters, and no command or env names this one"
        _report_unread(
            file, given, f"{text}. Write args: auto, or ${{params:NAME}} in env. {_WAY_OUT}."
        )


def _report_unread(file: ParsedFile, given: Mapping[str, Any], message: str) -> None:
    """Report parameters that reach nothing: an error if they vary, for then the table is noise."""
    for name in given:
        domain = file.parameters[name].domain if name in file.parameters else None
        if domain is not None and not domain.is_constant and len(domain.values) != 1:
            file.error(message, *file.key_of(name))
            return
    for name in given:
        file.warn(message, *given[name][0][0])
        return


def _listed(options: Collection[str]) -> str:
    shown = [f"--{option}" for option in sorted(options)]
    more = f", … ({len(shown)})" if len(shown) > 12 else ""
    return f" It has {', '.join(shown[:12])}{more}." if shown else ""


def _check_parameter(
    file: ParsedFile,
    program: Program,
    parser: ScriptParser,
    name: str,
    nodes: Nodes,
) -> None:
    path = nodes[0][0]
    script = Path(program.path).name
    typed = _typed_option(program, name)
    options = {each: a for a in parser.arguments for each in (a.option, *a.aliases, a.off) if each}
    argument = options.get(typed)
    if argument is None and parser.kind in ("fire", "tyro", "absl"):
        plain = {each.replace("-", "_"): a for each, a in options.items()}
        argument = plain.get(typed.replace("-", "_"))
    if argument is None:
        if any(option.startswith(typed) for option in options) and parser.kind == "argparse":
            return  # argparse takes the beginning of a name
        plain_names = {each.replace("-", "_"): each for each in options}
        other = plain_names.get(typed.replace("-", "_"))
        hint = f" It has --{other}: write args: auto." if other else synonym(typed, options)
        hint = hint or file.log.hint(typed, options) or _listed(options)
        at = nodes[0][1] if nodes[0][1].line is None else None  # of --set
        if not parser.is_complete:
            return
        message = f"{script} has no option --{typed}.{hint}"
        if parser.ignores_unknown:
            message = f"{script} has no option --{typed}, and ignores those that it does not know "
            file.warn(
                f"{message}(parse_known_args), so that it changes nothing.{hint}", *path, at=at
            )
        else:
            file.error(f"{message} {_WAY_OUT}.", *path, at=at)
        return
    for where, node, is_bound in nodes:
        problem = _refused(program, parser, argument, node, is_bound)
        if problem:
            file.error(f"{script} --{argument.option}: {problem}", *where, at=node)
            return
    if argument.any_text_is_true and program.style != "auto":
        off = next((node for _, node, _ in nodes if node.value is False), None)
        if off is not None:
            text = (
                f"{script} declares --{argument.option} with type=bool, to which any text is true"
            )
            file.warn(f"{text}, False too. Write args: auto.", *path, at=off)


def _typed_option(program: Program, name: str) -> str:
    """Return the option as which a parameter is passed, without its hyphens."""
    if program.style == "auto":
        return program.spelling.get(name.replace("-", "_"), (name,))[0]
    word = next(iter(arguments({name: "x"}, style=program.style)), f"--{name}")
    return word.lstrip("-").partition("=")[0]


def _refused(
    program: Program, parser: ScriptParser, argument: Argument, node: Node, is_bound: bool
) -> str:
    """Return why the parser would refuse a value; "" if it would not, or nobody knows."""
    value = node.value
    if isinstance(value, Node) or value is None or (isinstance(value, str) and "${" in value):
        return ""
    if program.style != "auto":
        is_flag = program.booleans != "value" and isinstance(value, bool)
        if argument.is_switch and not is_flag and not is_bound and parser.kind != "click":
            return f"takes no value, it is a switch (found {found(node)}). Write args: auto."
        if is_flag and not argument.is_switch and program.booleans == "flag" and value is True:
            return "needs a value, it is no switch (found true). Write args: auto."
    elif argument.is_switch and not isinstance(value, bool) and not is_bound:
        return f"is a switch: expected true or false (found {found(node)})."
    if isinstance(value, dict) and (argument.choices or argument.type in (int, float)):
        return "takes one value, but the parameters below it are passed together, as a mapping."
    if isinstance(value, list) and parser.kind in ("argparse", "click") and not argument.is_hidden:
        if not argument.takes_several and argument.type in (int, float):
            return f"takes one value (found {found(node)})."
        if argument.takes_several and program.style == "--k=v":
            return "takes several words, but would get the list as one. Write args: auto."
    if argument.is_switch or isinstance(value, list | dict | bool):
        return ""
    return _out_of_range(parser, argument, node, is_bound)


def _out_of_range(parser: ScriptParser, argument: Argument, node: Node, is_bound: bool) -> str:
    """Return why a single value is none that the option takes, likewise."""
    value = node.value
    if argument.choices and not is_bound and str(value) not in map(str, argument.choices):
        known = ", ".join(map(str, argument.choices))
        return f"expected one of {known} (found {found(node)})."
    if argument.type in (int, float) and not is_bound:
        try:
            argument.type(str(value))
        except ValueError:
            kind = "a whole number" if argument.type is int else "a number"
            return f"expected {kind} (found {found(node)})."
        if parser.kind == "configurator" and type(value) is not argument.type:
            return f"expected a {argument.type.__name__} like its default (found {found(node)})."
    low, high = argument.low, argument.high
    if isinstance(value, int | float) and low is not None and value < low:
        return f"expected a number from {low} (found {found(node)})."
    if isinstance(value, int | float) and high is not None and value > high:
        return f"expected a number up to {high} (found {found(node)})."
    return ""
