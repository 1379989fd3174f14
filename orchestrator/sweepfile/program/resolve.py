"""A person's own script: where it is, and how it is called.

Parameters that are paths: made absolute before a trial starts, and looked for.

A path in a sweep file starts at the file's folder, wherever the sweep is started from, also in a
file that another one extends; one typed behind ``--set`` starts where it was typed.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.model.program import (
    GRACE_S,
    MetricSources,
    ParamsFile,
    Program,
    Resume,
    Step,
)
from orchestrator.sweepfile.program.command import (
    names_in,
    program_put_in,
    tell_names,
    tell_words,
    with_command,
)
from orchestrator.sweepfile.program.interpreters import conda_folder, locate
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.space.domain import Declared
from orchestrator.sweepfile.yaml.node import Log, Node
from orchestrator.sweepfile.yaml.overrides import ORIGIN


def read_program(
    values: Mapping[str, Any],
    root: Node,
    folder: Path,
    need: bool,
    log: Log,
    parameters: Sequence[str] = (),
) -> Program:
    """Return the program of a file whose single keys are good.

    Relative paths start at the folder of the file in which they stand; the program runs in that
    of the sweep file.

    Args:
        values: what the keys hold.
        root: the file's tree, for lines.
        folder: the folder of the sweep file, absolute.
        need: True where a program that is missing is a mistake; a warning otherwise.
        log: takes mistakes and warnings.
        parameters: the names that the file gives values.
    """
    reader = _Reader(values, root, folder, need, log)
    given = values.get("args", "none" if "params_file" in values else "--k=v")
    args = given if isinstance(given, dict) else {"style": given}
    style = args.get("style", "--k=v")
    metrics = values.get("metrics", {})
    patterns = metrics.get("pattern", ())
    program = Program(
        path=reader.located("program", locate, "a script or a command on PATH") or "",
        style=style,
        # A parser that takes "--amp 3" as two words would take "--amp True" for text.
        booleans=args.get("booleans", "flag" if style in ("hyphen-space", "--k v") else "value"),
        python=reader.located("python", locate, "an interpreter"),
        outputs=values.get("outputs"),
        patterns=(patterns,) if isinstance(patterns, str) else tuple(patterns),
        metrics=MetricSources.from_values(metrics),
        conda=reader.located("conda", _conda, "a conda environment"),
        shell=values.get("shell", False),
        env=values.get("env", {}),
        params_file=reader.params_file(),
        resume=reader.resume(),
        stop_signal=values.get("stop_signal", "SIGTERM"),
        grace_s=values.get("grace_s", GRACE_S),
        timeout_s=values.get("timeout"),
        stall_timeout_s=values.get("stall_timeout"),
        seed=values.get("seed", 0),
        seed_parameter=_seed_parameter(values),
    )
    if program.conda is not None and program.python is None:
        program = replace(program, python=str(Path(program.conda) / "bin" / "python"))
    program = reader.workdir(program)
    if "command" in values:
        program = with_command(program, values, root, folder, log)
    elif program.shell:
        log.at(root.get("shell") or root, "shell", "must have command beside it: the text to read.")
    if "steps" in values:
        program = reader.steps(program)
    reader.meet(program, parameters)
    return program


class _Reader:
    """Reads what the keys of a program hold together."""

    def __init__(
        self, values: Mapping[str, Any], root: Node, folder: Path, need: bool, log: Log
    ) -> None:
        self._values = values
        self._root = root
        self._folder = folder
        self._need = need
        self._log = log

    def located(self, key: str, find: Any, what: str) -> str | None:
        """Return what `find` finds of the path or name under `key`; a missing one is told."""
        text = self._values.get(key)
        if text is None:
            return None
        found: str | None = find(text, _start_of(key, self._root, self._folder))
        if found is None:
            message = f"must be {what}, but there is no {text!r}"
            self._missing(key, f"{message} (relative to the sweep file's folder).")
            return str(self._folder / text)
        return found

    def params_file(self) -> ParamsFile | None:
        """Return the file through which parameters are handed over."""
        given = self._values.get("params_file")
        if given is None:
            return None
        entry = {"from": given} if isinstance(given, str) else given
        start = _start_of("params_file", self._root, self._folder)
        source = entry.get("from")
        if isinstance(given, str) and not os.path.isfile(start / given):
            entry, source = {"write": given}, None  # a file that holds the parameters alone
        if source is not None and not os.path.isfile(start / source):
            self._missing("params_file", f"must start from a file, but there is no {source!r}.")
        written = entry.get("write") or os.path.basename(source or "params.yaml")
        if Path(written).is_absolute() or ".." in Path(written).parts:
            where = self._root.get("params_file") or self._root
            message = f"must be written inside the trial's folder, but got {written!r}."
            self._log.at(where, "params_file", message)
        return ParamsFile(written, None if source is None else os.path.abspath(start / source))

    def resume(self) -> Resume | None:
        """Return how the program goes on from a checkpoint."""
        given = self._values.get("resume")
        if given is None:
            return None
        entry = given if isinstance(given, dict) else {"args": given}
        args = entry.get("args", ())
        try:
            words = tuple(shlex.split(args)) if isinstance(args, str) else tuple(args)
        except ValueError as error:  # a quote that does not end
            where = self._root.get("resume") or self._root
            self._log.at(where, "resume", f"must be words, but got {args!r}: {error}.")
            words = ()
        return Resume(words, entry.get("checkpoint"))

    def workdir(self, program: Program) -> Program:
        """Return `program` with the folder that it runs in, or that is copied."""
        given = self._values.get("workdir")
        link = self._values.get("link", ())
        link = (link,) if isinstance(link, str) else tuple(link)
        if given not in (None, "copy"):
            start = _start_of("workdir", self._root, self._folder)
            place = Path(os.path.abspath(start / Path(given)))
            if not place.is_dir():
                self._missing("workdir", f"must be copy, or a folder, but there is no {given!r}.")
            program = replace(program, workdir=str(place))
        elif given == "copy":
            # A bare name is a command on PATH.
            is_file = os.path.isabs(program.path)
            script = Path(os.path.abspath(program.path))
            inside = not is_file or self._folder in script.parents
            place = self._folder if inside else script.parent
            program = replace(program, workdir=str(place), copies=True, link=link)
            for name in link:
                if not os.path.lexists(place / name):
                    self._missing(
                        "link", f"must name what is in {place}, but there is no {name!r}."
                    )
        else:
            program = replace(program, workdir=str(self._folder))
        if program.workdir != str(self._folder):
            program = replace(program, folder=str(self._folder))
        if link and given != "copy":
            where = self._root.get("link") or self._root
            self._log.at(where, "link", "must stand beside workdir: copy, but does not.")
        return program

    def steps(self, program: Program) -> Program:
        """Return `program` with the commands of its steps."""
        for other in ("command", "shell"):
            if other in self._values:
                where = self._root.get(other) or self._root
                self._log.at(where, other, "must not stand beside steps. Write it as a step.")
        steps = []
        for name, entry in self._values["steps"].items():
            entry = entry if isinstance(entry, dict) else {"command": entry}  # noqa: PLW2901
            words = entry.get("command", ())
            where = (self._root.get("steps") or self._root).get(name) or self._root
            if isinstance(words, str):
                message = "must be a list of words such as [python, eval.py]."
                self._log.at(where, join("steps", name), message)
                words = ()
            if "${program}" in words and "program" not in self._values:
                message = "needs program for ${program}, but there is none."
                self._log.at(where, join("steps", name), message)
            tell_words(words, join("steps", name), where, self._log)
            words = program_put_in(words, self._values.get("program"), self._folder)
            limits = (entry.get("timeout"), entry.get("stall_timeout"))
            steps.append(Step(name, tuple(words), *limits))
        path = program.path or next((s.command[0] for s in steps if s.command), "")
        return replace(program, steps=tuple(steps), path=path)

    def meet(self, program: Program, parameters: Sequence[str]) -> None:
        """Check what the keys hold against each other."""
        log, root = self._log, self._root
        texts = dict(_texts(program))
        for key, words in texts.items():
            where = root
            for part in key.split("."):
                where = where.get(part) or where
            tell_names(words, key, where, parameters, program, log)
        everything = [word for words in texts.values() for word in words]
        where = root.get("params_file") or root
        is_named = program.copies or "params_file" in names_in(everything)
        if program.params_file is not None and not is_named:
            message = "must be named to the program by ${params_file} in command or env"
            log.at(where, "params_file", f"{message}, or stand in its own workdir: copy.")
        if program.conda is not None and "python" in self._values:
            where = root.get("python") or root
            log.at(where, "python", "must not stand beside conda, which has an interpreter.")

    def _missing(self, key: str, message: str) -> None:
        where = self._root.get(key) or self._root
        (self._log.at if self._need else self._log.warn)(where, key, message)


def _texts(program: Program) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield all that may hold macros, by key."""
    yield "command", program.command
    for step in program.steps:
        yield join("steps", step.name), step.command
    for name, text in program.env.items():
        yield join("env", name), (text,)
    if program.resume is not None:
        yield "resume", program.resume.words
        yield "resume.checkpoint", (program.resume.checkpoint or "",)


def _seed_parameter(values: Mapping[str, Any]) -> str:
    seeds = values.get("seeds")
    return str(seeds.get("parameter", "seed")) if isinstance(seeds, dict) else "seed"


def _conda(name: str, folder: Path) -> str | None:
    return conda_folder(name, folder, os.environ, Path.home())


def _start_of(key: str, root: Node, folder: Path) -> Path:
    """Return where the path under `key` starts: at the file in which it stands."""
    node = root.get(key)
    return folder if node is None or node.origin == ORIGIN else folder_of(node)


def folder_of(node: Node) -> Path:
    """Return the absolute folder of the file in which a value stands."""
    return Path(os.path.abspath(node.origin)).parent


def settle_paths(file: ParsedFile, need: bool) -> ParsedFile:
    """Return the file with absolute paths in all parameters that are paths; ``set`` in place.

    Args:
        file: a file whose parameters were checked against the trainer's.
        need: True where a path that is not there is a mistake; a warning otherwise.
    """
    if file.schema is None:
        return file
    names = {name for name, known in file.schema.parameters.items() if known.is_path}

    def settle(node: Node, key: str) -> Node:
        if not isinstance(node.value, str):
            return node
        start = Path.cwd() if node.origin == ORIGIN else folder_of(node)
        path = Path(os.path.abspath(start / Path(node.value).expanduser()))
        if not os.path.exists(path):
            tell = file.log.at if need else file.log.warn
            tell(node, key, f"must be a file or folder that is there, but there is no {path}.")
        return Node(str(path), node.line, node.origin)

    def settle_domain(name: str, declared: Declared) -> Declared:
        nodes = [node for key, node in declared.leaves() if key in ("value", "values")]
        settled = [settle(node, join("parameters", name)).value for node in nodes]
        return replace(declared, domain=replace(declared.domain, values=tuple(settled)))

    for path, settings in file.settings():
        for name in names & settings.keys():
            settings[name] = settle(settings[name], join(*path, name))
    return replace(
        file,
        strongest={
            name: settle(node, name) if name in names else node
            for name, node in file.strongest.items()
        },
        parameters={
            name: settle_domain(name, declared) if name in names else declared
            for name, declared in file.parameters.items()
        },
    )
