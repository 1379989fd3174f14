"""Our own macros in the words of a command: ``${params:NAME}``, ``${run_dir}`` and so on.

Unlike W&B's they are replaced inside a word too, and what is put in is never read again: a value
that looks like a macro stays as it is.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import TrialError
from orchestrator.sweepfile.program.styles import native

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
