"""A user's own script as the keys of a sweep file describe it, checked.

W&B ignores unknown macros, those inside a word and commands without parameters. Here they warn.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError, nearest
from orchestrator.metrics import resolve_kind
from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.model.program import MetricSources, ParamsFile, Program, Resume, Step
from orchestrator.sweepfile.program.argument_styles import AUTO, as_list, plain_form
from orchestrator.sweepfile.program.macro_check import check_names, check_shell_text, check_words
from orchestrator.sweepfile.program.macros import (
    has_macros,
    names_in,
    parameters_in,
    passes_parameters,
    whole,
)
from orchestrator.sweepfile.program.option_check import (
    check_keys,
    check_options,
    parser_of,
    spelled,
    values_of,
)
from orchestrator.sweepfile.program.paths import (
    conda_folder,
    find_program,
    home_of,
    locate,
    start_of,
)

DEFAULT = ("${env}", "${interpreter}", "${program}", "${args}")
_UNCHANGED = ("shell", "env", "stop_signal", "grace_s", "seed")


def read_program(
    file: ParsedFile, folder: Path, need: bool, parameters: Collection[str]
) -> Program:
    """Return the program of a file whose single keys are valid.

    Args:
        file: the file.
        folder: the folder of the sweep file, absolute, in which the program runs; as in W&B it
            runs in the working folder if its file is only there.
        need: True if a missing program is an error; otherwise it is a warning.
        parameters: the parameters that the file gives values.
    """
    values = file.values
    given = values.get("args", "none" if "params_file" in values else "--k=v")
    args = given if isinstance(given, dict) else {"style": given}
    style = args.get("style", "--k=v")
    metrics = values.get("metrics", {})
    seeds = values.get("seeds")
    folder = home_of(file, folder)
    reader = _Reader(file, folder, need)
    find = partial(find_program, workdir=values.get("workdir", ""))
    conda = partial(conda_folder, environ=os.environ, home=Path.home())
    program = Program(
        path=reader.located("program", find, "script or command") or "",
        style=style,
        # A parser that takes "--amp 3" as two words would take "--amp True" for text.
        booleans=args.get("booleans", "flag" if style in ("hyphen-space", "--k v") else "value"),
        python=reader.located("python", locate, "interpreter"),
        outputs=values.get("outputs"),
        patterns=_many(metrics.get("pattern", ())),
        metrics=MetricSources.from_values(metrics),
        conda=reader.located("conda", conda, "conda environment"),
        params_file=reader.params_file(),
        resume=reader.resume(),
        arrays=_kind_of_arrays(file),
        seed_parameter=seeds.get("parameter", "seed") if isinstance(seeds, dict) else "seed",
        timeout_s=values.get("timeout"),
        stall_timeout_s=values.get("stall_timeout"),
        **{key: values[key] for key in _UNCHANGED if key in values},
    )
    groups = {name for text in program.patterns for name in re.compile(text).groupindex}
    if groups and not groups - {"step", "epoch", "total"}:
        message = "no group is a metric. Add one: 'val_mae=(?P<val_mae>[0-9.]+)'."
        file.error(message, "metrics", "pattern")
    parser = parser_of(program)
    if program.style == AUTO:
        style, spelling = spelled(parser)
        program = replace(program, style=style, spelling=spelling if style == AUTO else {})
    if program.conda is not None:
        if "python" in values:
            file.error("conda has an interpreter of its own. Remove one of them.", "python")
        else:
            program = replace(program, python=str(Path(program.conda) / "bin" / "python"))
    program = reader.workdir(program)
    if "command" in values:
        program = _with_command(file, program, folder)
    elif program.shell:
        file.error("needs command: the text that the shell reads.", "shell")
    if "steps" in values:
        program = reader.steps(program)
    texts = dict(_texts(program))
    for path, words in texts.items():
        check_names(file, words, parameters, program, *path)
    for path, node, _ in chain.from_iterable(values_of(file).values()):
        if isinstance(node.value, str) and has_macros(node.value):
            check_names(file, (node.value,), parameters, program, *path)
    check_options(file, program, parser)
    check_keys(file, program)
    used = names_in(word for words in texts.values() for word in words)
    if program.params_file is not None and not program.copies and "params_file" not in used:
        message = "the program cannot find the file. Name ${params_file} in command or env, or "
        file.error(f"{message}write workdir: copy.", "params_file")
    return program


def _kind_of_arrays(file: ParsedFile) -> dict[str, Any]:
    arrays: dict[str, Any] = dict(file.values.get("arrays", {}))
    if not arrays.get("kind"):
        if "rate_hz" in arrays:
            file.error(
                "missing, so rate_hz means nothing. Name the kind of data.", "arrays", "kind"
            )
        return arrays
    try:
        arrays["kind"] = resolve_kind(arrays["kind"], where="kind")
    except UsageError as error:
        file.error(str(error).removeprefix("kind: "), "arrays", "kind")
    if arrays["kind"] == "decay_curve" and "rate_hz" not in arrays:
        file.error("decay_curve needs rate_hz. Write its samples per second.", "arrays")
    return arrays


def _many(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _near(path: Path) -> str:
    """Return a hint at the file next to a missing one that has nearly its name, if there is one."""
    try:
        beside = [each.name for each in os.scandir(path.parent) if each.is_file()]
    except (OSError, ValueError):
        return ""
    return nearest(path.name, [name for name in beside if Path(name).suffix == path.suffix])


def _is_inert(path: str) -> bool:
    """Return whether a file is neither run by an interpreter that we name nor executable."""
    is_file = not path.endswith((".py", ".ipynb")) and os.path.isfile(path)
    return is_file and not os.access(path, os.X_OK)


class _Reader:
    """Reads the keys of a program that need more than their value."""

    def __init__(self, file: ParsedFile, folder: Path, need: bool) -> None:
        self._file = file
        self._folder = folder
        self._missing = file.error if need else file.warn

    def _start(self, key: str) -> Path:
        return start_of(self._file.root.get(key), self._folder)

    def located(self, key: str, find: Callable[[str, Path], str | None], what: str) -> str | None:
        """Return what `find` finds for the path or name under `key`; report a missing one."""
        text = self._file.values.get(key)
        if text is None:
            return None
        start = self._start(key)
        found = find(text, start)
        if found is None and key == "program":
            found = find(text, self._folder)
        if found is None:
            message = f"no {what} {text!r} in {start}, the folder of the sweep file"
            if key == "program":
                message += f", nor in {Path.cwd()}, the current one"
            hint = _near(start / text) or " Write a path from the file's folder."
            self._missing(f"{message}.{hint}", key)
        elif key == "program" and "command" not in self._file.values and _is_inert(found):
            message = f"{found} is not executable. Run chmod +x {found}, or name it in command: "
            self._missing(f"{message}[bash, {text}, '${{args}}'].", key)
        return str(self._folder / text) if found is None else found

    def params_file(self) -> ParamsFile | None:
        """Return the file from which the program reads its parameters."""
        given = self._file.values.get("params_file")
        if given is None:
            return None
        entry = {"from": given} if isinstance(given, str) else given
        start = self._start("params_file")
        if isinstance(given, str) and not os.path.isfile(start / given):
            entry = {"write": given}  # a file that holds the parameters alone
        source = entry.get("from")
        if source is not None and not os.path.isfile(start / source):
            self._missing(f"no file {source!r} to start from.", "params_file")
        default = os.path.basename(source or "params.yaml")
        if source is not None and self._file.values.get("workdir") == "copy":
            is_inside = not os.path.isabs(source) and ".." not in Path(source).parts
            default = os.path.normpath(source) if is_inside else default  # where it was
        written = entry.get("write") or default
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
        words: Any = entry.get("args", ())
        if isinstance(words, str):
            try:
                words = shlex.split(words)
            except ValueError as error:  # a quote that does not end
                message = f"cannot be split into words (found {words!r}): {error}."
                self._file.error(message, "resume")
                words = ()
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
            place = Path(os.path.abspath(self._start("workdir") / given))
            if not os.path.isdir(place):
                self._missing(f"no folder {given!r}. Write a folder, or copy.", "workdir")
        if link and given != "copy":
            self._file.error("needs workdir: copy.", "link")
        moved = str(self._folder) if place != self._folder else ""
        return replace(program, workdir=str(place), folder=moved)

    def steps(self, program: Program) -> Program:
        """Return `program` with the commands of its steps."""
        file = self._file
        for other in ("command", "shell"):
            if other in file.values:
                file.error("cannot be combined with steps. Write it as a step.", other)
        steps = []
        for name, given in file.values["steps"].items():
            entry = given if isinstance(given, dict) else {"command": given}
            words = entry.get("command", ())
            if isinstance(words, str):
                message = f"expected a list of words such as [python, eval.py] (found {words!r})."
                file.error(message, "steps", name)
                words = ()
            check_words(file, words, "steps", name)
            words = _insert_program(words, file.values.get("program"), self._folder)
            steps.append(Step(name, words, entry.get("timeout"), entry.get("stall_timeout")))
        path = program.path or next((s.command[0] for s in steps if s.command), "")
        return replace(program, steps=tuple(steps), path=path)


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


def _with_command(file: ParsedFile, program: Program, folder: Path) -> Program:
    """Return a program that is started by the words of ``command``."""
    words = file.values["command"]
    by_file = program.params_file is not None or bool(parameters_in(program.env.values()))
    if isinstance(words, str):
        if program.shell:
            check_shell_text(file, program, words, by_file)
            path = program.path or words.split(maxsplit=1)[0]
            return replace(program, command=(words,), path=path)
        advice = f"Write a list, {as_list(words)}, or add shell: true."
        if "program" not in file.values:
            file.error(f"is one text, which no shell reads. {advice}", "command")
            return program
        used = ", ".join(DEFAULT)
        file.warn(f"not a list, so as in W&B [{used}] is used instead. {advice}", "command")
        words = DEFAULT
    elif program.shell:
        file.error("a shell needs one text. Write command: 'python train.py'.", "command")
    check_words(file, words, "command")
    if not (passes_parameters(words) or by_file):
        message = "passes no parameters. The program can read them from wandb.config; or add "
        file.warn(f"{message}'${{args}}'.", "command")
    inserted = _insert_program(words, file.values.get("program"), folder)
    start = next((word for word in inserted if whole(word) is None), "")
    program = replace(program, command=inserted, path=program.path or start)
    plain = plain_form(words)
    if plain is None or not program.path.endswith(".py") or "args" in file.values:
        return program
    python, booleans = plain
    python = None if python is None else locate(python, folder) or python
    return replace(program, python=program.python or python, booleans=booleans)


def _insert_program(words: Sequence[str], written: str | None, folder: Path) -> tuple[str, ...]:
    """Return `words` with the program in place of ``${program}``."""
    if written is None:
        return tuple(words)
    # The path stays as written, since it runs in the file's folder; another system's \ becomes /.
    if "\\" in written and not os.path.exists(folder / written):
        written = written.replace("\\", "/")
    # The first word is searched on PATH, if it has no slash.
    is_here = os.sep not in written and os.path.isfile(folder / written)
    starts = f".{os.sep}{written}" if is_here else written
    return tuple(
        word if word != "${program}" else written if index else starts
        for index, word in enumerate(words)
    )
