"""How a script takes its parameters: its parser, all options that it has, and what is not known.

The text of the script is read, and that of the modules next to it which it imports; nothing runs.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from orchestrator.sweepfile.program.parsers import subcommands
from orchestrator.sweepfile.program.parsers.help_text import ask_help
from orchestrator.sweepfile.program.parsers.outside_parameters import (
    PARAMS_ENDINGS,
    PYTHON_VARIABLE,
    SHELL_VARIABLE,
    hydra_options,
    leaves_of,
    params_file_of,
    variables_of,
)
from orchestrator.sweepfile.program.parsers.script_options import (
    Argument,
    declared,
    definitions,
    last_name,
    literal,
    parse,
    with_constants,
)
from orchestrator.sweepfile.program.parsers.signature_options import (
    added,
    decorators,
    dotted,
    of_callable,
    signatures,
)

MOST_SOURCE = 5_000_000  # bytes of a script that are read
_MOST_MODULES = 40
_CONFIGURATOR = re.compile(r"exec\(\s*open\(\s*['\"][^'\"]*configurator\.py['\"]")
# Whoever reads arguments or the environment names one of these somewhere.
_READERS = re.compile(
    r"\b(argv|argparse|\w*ArgumentParser|click|typer|tyro|fire|Fire|hydra|absl|docopt|getopt|optparse"
    r"|omegaconf|from_cli|jsonargparse|LightningCLI|simple_parsing|draccus|pyrallis|plac|cyclopts"
    r"|environ|getenv|wandb|SWEEP_\w+|orchestrator|exec|runpy|subprocess|importlib|__import__)\b"
)
# Calls of parsers that print their options for --help before anything else happens.
_ANSWERS_HELP = re.compile(
    r"\bparse_(?:known_)?args\(|\bdocopt\(|\bplac\.call\(|\bdefopt\.run\(|\btyper\.run\("
    r"|\btyro\.cli\(|\bFire\(|\bCLI\(|\bcyclopts\b|@\w+\.command\b|\bsimple_parsing\.parse\("
    r"|\b(?:draccus|pyrallis)\.(?:parse|wrap)\("
)
# Packages that read no arguments when they are imported and used.
_HARMLESS = frozenset((
    *("numpy", "torch", "torchvision", "torchaudio", "pandas", "sklearn", "scipy", "matplotlib"),
    *("tqdm", "PIL", "yaml", "xgboost", "lightgbm", "catboost", "tensorflow", "keras", "jax"),
    *("flax", "optax", "seaborn", "cv2", "h5py", "joblib", "pytorch_lightning", "lightning"),
    *("transformers", "datasets", "tensorboardX", "torchmetrics", "skimage", "statsmodels"),
))  # fmt: skip


@dataclass(frozen=True)
class ScriptParser:
    """How a script takes its parameters.

    Attributes:
        kind: ``argparse``, ``click``, ``hydra``, ``configurator`` and so on; ``environment`` and
            ``params_file`` without a parser; "" if nothing was found.
        is_complete: True if `arguments` are certainly all options that it has.
        ignores_unknown: True if options that it does not know reach nothing.
        reads_nothing: True if it certainly reads neither arguments nor the environment.
        answers_help: True if it can safely be asked for its options with ``--help``.
        has_subcommands: True if some options are those of a subcommand alone.
        subcommands: those whose names the text shows.
        requires_subcommand: True if it certainly does not run without one.
        reports_config: True if it can read its parameters from the sweep or from wandb.config.
        params_file: the file next to it from which it reads its parameters; "" if there is none.
        variables: the environment variables that it reads.
    """

    SUFFIXES: ClassVar = (".py", ".sh", ".ipynb")  # of what can be read
    FILES: ClassVar = PARAMS_ENDINGS  # of files of parameters

    arguments: tuple[Argument, ...] = ()
    kind: str = ""
    is_complete: bool = False
    ignores_unknown: bool = False
    reads_nothing: bool = False
    answers_help: bool = False
    has_subcommands: bool = False
    subcommands: tuple[str, ...] = ()
    requires_subcommand: bool = False
    reports_config: bool = False
    params_file: str = ""
    variables: tuple[Argument, ...] = ()

    @property
    def parameters(self) -> list[Argument]:
        """The options that parameters can be passed as."""
        return [argument for argument in self.arguments if not argument.is_hidden]


def read_parser(file: Path, start: Sequence[str] = ()) -> ScriptParser:
    """Return how a script of Python or of a shell, or a notebook, takes its parameters.

    Of a file of parameters the values in it are returned.

    Args:
        start: the command that runs it. If the source shows no options, and its parser answers
            before anything else happens, it is asked with ``--help``.

    Raises:
        SyntaxError: it is no Python that this interpreter understands.
        OSError: it cannot be read.
    """
    if file.suffix in PARAMS_ENDINGS:
        return ScriptParser(tuple(leaves_of(file)), "params_file", params_file=file.name)
    source = _text(file)
    if file.suffix == ".ipynb":
        known = tuple(_globals(parse(_parameters_cell(source))))
        return ScriptParser(known, "notebook", is_complete=bool(known))
    if file.suffix != ".py":
        known = variables_of(source, SHELL_VARIABLE)
        return ScriptParser(known, "environment" if known else "", variables=known)
    trees = [parse(source)]
    texts = [source]
    is_closed = True
    queue, seen = [(trees[0], file.parent)], {file}
    while queue:
        tree, folder = queue.pop(0)
        for name in _imported(tree):
            path = _module(name, folder, file.parent)
            if path is None:
                root = name.lstrip(".").partition(".")[0]
                is_closed &= root in sys.stdlib_module_names or root in _HARMLESS or not root
            elif path not in seen and len(seen) < _MOST_MODULES:
                seen.add(path)
                try:
                    text = _text(path)
                    trees.append(parse(text))
                except (OSError, SyntaxError):
                    is_closed = False
                    continue
                texts.append(text)
                queue.append((trees[-1], path.parent))
    parser = _parser(trees, texts, file, is_closed)
    if not start or parser.arguments or parser.has_subcommands or not parser.answers_help:
        return parser
    known = tuple(ask_help(start, file.parent)[1])
    return replace(parser, arguments=known, kind="help", is_complete=True) if known else parser


def _parser(trees: list[ast.Module], texts: list[str], file: Path, is_closed: bool) -> ScriptParser:
    found: dict[str, Argument] = {}
    is_complete, kind = True, ""
    if not _CONFIGURATOR.search(texts[0]):  # whose constants are its options
        with_constants(trees)
    known = definitions(trees)
    for tree in trees:
        arguments, all_read = declared(tree, known)
        is_complete &= all_read
        for argument in arguments:
            found.setdefault(argument.name, argument)
    whole = "\n".join(texts)
    if found or "ArgumentParser" in whole:
        kind = "argparse" if "ArgumentParser" in whole or "argparse" in whole else "click"
        kind = "getopt" if "getopt(" in whole and kind == "click" else kind
        kind = "optparse" if "OptionParser" in whole and kind == "click" else kind
        kind = "absl" if "DEFINE_" in whole and "add_argument" not in whole else kind
    calls = [n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Call)]
    for name, by in signatures(trees, calls):
        kind = by
        made = None if name is None else of_callable(name, known, by)
        is_complete &= made is not None
        for argument in made or ():
            found.setdefault(argument.name, argument)
    for argument in added(calls, known):
        found.setdefault(argument.name, argument)
    if _CONFIGURATOR.search(texts[0]):
        kind, found = "configurator", {each.name: each for each in _globals(trees[0])}
    hydra = _hydra(trees)
    if hydra is not None:
        kind = "hydra"
        options = [*hydra_options(file, *hydra)]
        options += [] if options else of_callable(_stored(calls, hydra[1]), known, "draccus") or []
        found, is_complete = {each.name: each for each in options}, False
    params = ""
    variables = variables_of(whole, PYTHON_VARIABLE)
    if not kind:
        params, leaves = params_file_of(file, whole)
        others = () if leaves else variables
        found = {each.name: each for each in (*leaves, *others)}
        kind = "params_file" if leaves else "environment" if others else ""
    names = {last_name(call.func) for call in calls}
    adders = {
        "add_arguments",
        "add_class_arguments",
        "add_argparse_args",
        "add_dataclass",
        "parse_args_into_dataclasses",
    }
    is_complete &= not (names & adders and kind == "argparse")
    is_complete &= kind not in ("", "environment", "params_file")
    if kind == "argparse":
        is_complete &= not _gives_parser_away(trees, calls)
    commands = subcommands.names_of(trees[0], calls)
    may_be_closed = bool(trees[0].body) and is_closed and kind in ("", "params_file")
    return ScriptParser(
        tuple(found.values()),
        kind,
        is_complete,
        ignores_unknown="parse_known_args" in names or "ignore_unknown_options" in whole,
        reads_nothing=may_be_closed and _READERS.search(whole) is None,
        answers_help=_ANSWERS_HELP.search(whole) is not None,
        has_subcommands=bool(commands) or subcommands.has_any(trees, names),
        subcommands=commands,
        requires_subcommand=bool(commands) and subcommands.is_required(trees[0]),
        reports_config=re.search(r"\bwandb\b|\bSWEEP_\w+|\borchestrator\b", whole) is not None,
        params_file=params,
        variables=variables,
    )  # fmt: skip


def _parameters_cell(notebook: str) -> str:
    """Return the text of the cell that papermill fills in; "" if there is none."""
    try:
        for cell in json.loads(notebook)["cells"]:
            if "parameters" in cell.get("metadata", {}).get("tags", ()):
                return "".join(cell["source"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # running it shows what is wrong with it
    return ""


def _text(file: Path) -> str:
    with file.open("rb") as stream:
        return stream.read(MOST_SOURCE).decode("utf-8-sig", "replace")


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if node.level or base)


def _module(name: str, folder: Path, home: Path) -> Path | None:
    """Return the file of a module next to the script or to what imports it."""
    level = len(name) - len(name.lstrip("."))
    parts = [part for part in name.split(".") if part]
    for start in [folder, *folder.parents][level - 1 : level] if level else (home, folder):
        base = start.joinpath(*parts)
        files = [base.with_suffix(".py"), base / "__init__.py"] if parts else [base / "__init__.py"]
        found = next((path for path in files if os.path.isfile(path)), None)
        if found is not None:
            return found
    return None


def _gives_parser_away(trees: Sequence[ast.Module], calls: Sequence[ast.Call]) -> bool:
    """Return whether a parser is passed to a function that was not read."""
    known = {n.name for t in trees for n in ast.walk(t) if isinstance(n, ast.FunctionDef)}
    parsers = {
        target.id
        for tree in trees for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        and last_name(node.value.func).endswith("ArgumentParser")
        for target in node.targets if isinstance(target, ast.Name)
    }  # fmt: skip
    return any(
        last_name(call.func) not in known
        and any(isinstance(arg, ast.Name) and arg.id in parsers for arg in call.args)
        for call in calls
    )


def _globals(tree: ast.Module) -> Iterator[Argument]:
    """Yield the variables that nanoGPT's configurator can set, of those at the top of a script."""
    for node in tree.body:
        if isinstance(node, ast.Expr) and _CONFIGURATOR.search(ast.unparse(node)):
            return
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            value = literal(node.value)
            if isinstance(value, bool | int | float | str):
                yield Argument(node.targets[0].id, type(value), value)


def _hydra(trees: Sequence[ast.Module]) -> tuple[str, str] | None:
    """Return folder and name of the config of ``hydra.main``; None if nothing uses it."""
    for decorator in decorators(trees):
        if isinstance(decorator, ast.Call) and dotted(decorator.func) == ("hydra", "main"):
            given = {word.arg: literal(word.value) for word in decorator.keywords}
            return str(given.get("config_path") or ""), str(given.get("config_name") or "")
    return None


def _stored(calls: Sequence[ast.Call], name: str) -> str:
    """Return the dataclass that Hydra's ConfigStore keeps under a name; "" if there is none."""
    for call in calls:
        nodes = {word.arg: word.value for word in call.keywords}
        if last_name(call.func) == "store" and literal(nodes.get("name")) == name:
            node = nodes.get("node")
            return last_name(node.func if isinstance(node, ast.Call) else node)
    return ""
