"""A user's own script: its path, and how the file says that it is run.

Paths are made absolute before a trial starts. A path in a sweep file is relative to that file's
folder, wherever the sweep is started from, also if another file extends it; a path in ``--set`` is
relative to the working folder.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.model.program import (
    MetricSources,
    ParamsFile,
    Program,
    Resume,
    Step,
)
from orchestrator.sweepfile.program.command import (
    check_names,
    check_words,
    insert_program,
    with_command,
)
from orchestrator.sweepfile.program.interpreters import conda_folder, locate
from orchestrator.sweepfile.program.macros import names_in
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.space.domain import Declared
from orchestrator.sweepfile.yaml.compose import ORIGIN
from orchestrator.sweepfile.yaml.node import Node

Find = Callable[[str, Path], str | None]


def read_program(
    file: ParsedFile, folder: Path, need: bool, parameters: Sequence[str] = ()
) -> Program:
    """Return the program of a file whose single keys are valid.

    A relative path starts at the folder of the file that names it; the program runs in that of the
    sweep file.

    Args:
        file: the file.
        folder: the folder of the sweep file, absolute.
        need: True if a missing program is an error; otherwise it is a warning.
        parameters: the parameters that the file gives values.
    """
    values = file.values
    given = values.get("args", "none" if "params_file" in values else "--k=v")
    args = given if isinstance(given, dict) else {"style": given}
    style = args.get("style", "--k=v")
    metrics = values.get("metrics", {})
    reader = _Reader(file, folder, need)
    program = Program(
        path=reader.located("program", locate, "script or command") or "",
        style=style,
        # A parser that takes "--amp 3" as two words would take "--amp True" for text.
        booleans=args.get("booleans", "flag" if style in ("hyphen-space", "--k v") else "value"),
        python=reader.located("python", locate, "interpreter"),
        outputs=values.get("outputs"),
        patterns=_many(metrics.get("pattern", ())),
        metrics=MetricSources.from_values(metrics),
        conda=reader.located("conda", _conda, "conda environment"),
        params_file=reader.params_file(),
        resume=reader.resume(),
        seed_parameter=_seed_parameter(values),
        timeout_s=values.get("timeout"),
        stall_timeout_s=values.get("stall_timeout"),
        **{key: values[key] for key in _UNCHANGED if key in values},
    )
    if program.conda is not None:
        if "python" in values:
            file.error("conda has an interpreter of its own. Remove one of them.", "python")
        else:
            program = replace(program, python=str(Path(program.conda) / "bin" / "python"))
    program = reader.workdir(program)
    if "command" in values:
        program = with_command(file, program, folder)
    elif program.shell:
        file.error("needs command: the text that the shell reads.", "shell")
    if "steps" in values:
        program = reader.steps(program)
    texts = dict(_texts(program))
    for path, words in texts.items():
        check_names(file, words, parameters, program, *path)
    named = program.copies or "params_file" in names_in(
        word for words in texts.values() for word in words
    )
    if program.params_file is not None and not named:
        message = "the program cannot find the file. Name ${params_file} in command or env, or "
        file.error(f"{message}write workdir: copy.", "params_file")
    return program


_UNCHANGED = ("shell", "env", "stop_signal", "grace_s", "seed")


def _many(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


class _Reader:
    """Reads the keys of a program that need more than their value."""

    def __init__(self, file: ParsedFile, folder: Path, need: bool) -> None:
        self._file = file
        self._folder = folder
        self._need = need

    def located(self, key: str, find: Find, what: str) -> str | None:
        """Return what `find` finds for the path or name under `key`; report a missing one."""
        text = self._file.values.get(key)
        if text is None:
            return None
        found = find(text, self._start(key))
        if found is None:
            self._missing(
                f"no {what} {text!r} (paths are relative to the sweep file's folder).", key
            )
            return str(self._folder / text)
        return found

    def params_file(self) -> ParamsFile | None:
        """Return the file from which the program reads its parameters."""
        given = self._file.values.get("params_file")
        if given is None:
            return None
        entry = {"from": given} if isinstance(given, str) else given
        start = self._start("params_file")
        source = entry.get("from")
        if isinstance(given, str) and not os.path.isfile(start / given):
            entry, source = {"write": given}, None  # a file that holds the parameters alone
        if source is not None and not os.path.isfile(start / source):
            self._missing(f"no file {source!r} to start from.", "params_file")
        written = entry.get("write") or os.path.basename(source or "params.yaml")
        if Path(written).is_absolute() or ".." in Path(written).parts:
            message = f"expected a path inside the trial's folder (found {written!r})."
            self._file.error(message, "params_file")
        return ParamsFile(written, None if source is None else os.path.abspath(start / source))

    def resume(self) -> Resume | None:
        """Return how the program resumes from a checkpoint."""
        given = self._file.values.get("resume")
        if given is None:
            return None
        entry = given if isinstance(given, dict) else {"args": given}
        args = entry.get("args", ())
        words: Sequence[str] = ()
        try:
            words = shlex.split(args) if isinstance(args, str) else args
        except ValueError as error:  # a quote that does not end
            self._file.error(f"cannot be split into words (found {args!r}): {error}.", "resume")
        return Resume(tuple(words), entry.get("checkpoint"))

    def workdir(self, program: Program) -> Program:
        """Return `program` with the folder in which it runs, or which is copied."""
        given = self._file.values.get("workdir")
        link = _many(self._file.values.get("link", ()))
        place = self._folder
        if given == "copy":
            # A bare name is a command on PATH.
            script = Path(os.path.abspath(program.path))
            if os.path.isabs(program.path) and self._folder not in script.parents:
                place = script.parent
            program = replace(program, copies=True, link=link)
            for name in link:
                if not os.path.lexists(place / name):
                    self._missing(f"no {name!r} in {place}.", "link")
        elif given is not None:
            place = Path(os.path.abspath(self._start("workdir") / Path(given)))
            if not place.is_dir():
                self._missing(f"no folder {given!r}. Write a folder, or copy.", "workdir")
        if link and given != "copy":
            self._file.error("needs workdir: copy.", "link")
        moved = str(self._folder) if place != self._folder else ""
        return replace(program, workdir=str(place), folder=moved)

    def steps(self, program: Program) -> Program:
        """Return `program` with the commands of its steps."""
        for other in ("command", "shell"):
            if other in self._file.values:
                message = "cannot be combined with steps. Write it as a step."
                self._file.error(message, other)
        steps = []
        for name, given in self._file.values["steps"].items():
            entry = given if isinstance(given, dict) else {"command": given}
            words = entry.get("command", ())
            if isinstance(words, str):
                message = f"expected a list of words such as [python, eval.py] (found {words!r})."
                self._file.error(message, "steps", name)
                words = ()
            check_words(self._file, words, "steps", name)
            words = insert_program(words, self._file.values.get("program"), self._folder)
            steps.append(Step(name, words, entry.get("timeout"), entry.get("stall_timeout")))
        path = program.path or next((s.command[0] for s in steps if s.command), "")
        return replace(program, steps=tuple(steps), path=path)

    def _start(self, key: str) -> Path:
        """Return where the path under `key` starts: at the file that names it."""
        node = self._file.root.get(key)
        return self._folder if node is None or node.origin == ORIGIN else folder_of(node)

    def _missing(self, message: str, key: str) -> None:
        (self._file.error if self._need else self._file.warn)(message, key)


def _texts(program: Program) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield all texts that may have macros, by the path of their key."""
    yield ("command",), program.command
    for step in program.steps:
        yield ("steps", step.name), step.command
    for name, text in program.env.items():
        yield ("env", name), (text,)
    if program.resume is not None:
        yield ("resume",), program.resume.words
        yield ("resume", "checkpoint"), (program.resume.checkpoint or "",)


def _seed_parameter(values: Mapping[str, Any]) -> str:
    seeds = values.get("seeds")
    return str(seeds.get("parameter", "seed")) if isinstance(seeds, dict) else "seed"


def _conda(name: str, folder: Path) -> str | None:
    return conda_folder(name, folder, os.environ, Path.home())


def folder_of(node: Node) -> Path:
    """Return the absolute folder of the file that holds a value."""
    return Path(os.path.abspath(node.origin)).parent


def settle_paths(file: ParsedFile, need: bool) -> ParsedFile:
    """Return the file with absolute paths in all parameters that are paths; ``set`` in place.

    Args:
        file: a file whose parameters were checked against the trainer's.
        need: True if a missing path is an error; otherwise it is a warning.
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
            log = file.log.at if need else file.log.warn
            log(node, key, f"no file or folder {path}.")
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
