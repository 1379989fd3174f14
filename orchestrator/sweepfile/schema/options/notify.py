"""A command that is run when something happened that a person wants to know."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from typing import TYPE_CHECKING, Any

from orchestrator.sweepfile.schema.containers import Either, Key, ListOf, Record
from orchestrator.sweepfile.schema.fields import Text, Word
from orchestrator.sweepfile.schema.options import Option
from orchestrator.sweepfile.schema.text_kinds import DURATION

if TYPE_CHECKING:
    from orchestrator.sweepfile.checks.parsed_file import ParsedFile
    from orchestrator.sweepfile.model.spec import Spec

EVENTS = ("end", "failure", "divergence")
TIMEOUT_S = 30.0
_PLAIN = re.compile(r"[\w./+-]+")
_BUILT_IN = frozenset(("cd", "echo", "exec", "export", "if", "for", "printf", "test", "while", "."))


def _settings(given: Any) -> dict[str, Any]:
    """Return command, events and timeout of any form of the key."""
    entry = given if isinstance(given, dict) else {"command": given}
    return {"on": list(EVENTS), "timeout": TIMEOUT_S, **entry}


def _check(file: ParsedFile, spec: Spec) -> None:
    given = file.values["notify"]
    path = ("notify", "command") if isinstance(given, dict) else ("notify",)
    command = spec.options["notify"].get("command")
    if command is None:
        file.error("needs a command. Write notify: mail -s sweep me@example.org.", "notify")
        return
    try:
        first = command[0] if isinstance(command, list) else shlex.split(command, comments=True)[0]
    except (ValueError, IndexError):
        file.error(f"no shell command (found {command!r}). Are its quotes in pairs?", *path)
        return
    is_known = not _PLAIN.fullmatch(first) or first in _BUILT_IN
    if is_known or shutil.which(first) or os.path.isfile(file.folder / first):
        return
    # A shell may know it otherwise, as a function or a later part of the command.
    report = file.error if isinstance(command, list) else file.warn
    report(f"no program {first!r} is found.", *path)


_COMMAND = ListOf(Text("a word"), "a command as text for the shell, or as a list of words")
OPTION = Option(
    Either(
        Text("a command"),
        Either(
            _COMMAND,
            Record(
                {
                    "command": Key(
                        Either(Text("a command"), _COMMAND),
                        "as text for the shell, or as a list of words",
                    ),
                    "on": Key(
                        ListOf(Word(EVENTS), f"a list of {', '.join(EVENTS)}"),
                        "the events that it is run for; by default all",
                    ),
                    "timeout": Key(DURATION, "after which it is killed; by default 30s"),
                },
                "a command, or a mapping such as {command: ..., on: [end]}",
            ),
            lists_first=True,
        ),
    ),
    "a command for the end, the first failure and the first divergence; it reads the table",
    convert=_settings,
    name="notify",
    may_change=True,
    joined=True,
    check=_check,
)
