"""What is taken from one script beside its output: metrics in files, arrays, what W&B recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.engine.script.launch import ScriptRun, UntilStopped, surroundings
from orchestrator.engine.script.outputs.file_claims import Claims
from orchestrator.engine.script.outputs.script_arrays import Arrays
from orchestrator.engine.script.reports.sources import Sources
from orchestrator.sweepfile.model import Program


class Harvest:
    """Follows and keeps what a script leaves in files. Make it before the script starts.

    Args:
        program: as it runs in this trial.
        config: parameter name to value.
        run: takes reports and warnings.
        outputs: returns the folder that the script has made for itself; None while it has none.
        expand: puts the macros into a path; None where it names a parameter that is absent.

    Attributes:
        variables: what the script's environment has for it.
    """

    def __init__(
        self,
        program: Program,
        config: Mapping[str, Any],
        run: ScriptRun,
        *,
        outputs: Callable[[], Path | None],
        expand: Callable[[str], str | None],
    ) -> None:
        self._config = config
        self._run = run
        self.variables = surroundings(config, run.directory)
        here = Path(program.workdir)
        base = outputs if program.outputs is not None else lambda: here
        # In a folder of its own nobody else can write.
        is_alone = program.copies or program.outputs is not None
        self._claims = Claims()
        claims = None if is_alone else self._claims
        self._sources = Sources(
            program.metrics,
            UntilStopped(run),
            patterns=program.patterns,
            directory=run.directory,
            base=base,
            claims=claims,
            expand=expand,
            config=config,
        )
        self._arrays = Arrays(program.metrics.arrays, base, claims, expand)

    @property
    def count(self) -> int:
        """How many reports were made."""
        return self._sources.count

    @property
    def matched(self) -> set[str]:
        """The patterns that have found something in logs of plain text."""
        return self._sources.matched

    def look(self, now: float) -> bool:
        """Take what is new and tell whether something was; `now` is a monotonic time, s."""
        before = self.count
        self._sources.look(now)
        return self.count > before

    def close(self, *, is_whole: bool) -> None:
        """Take what is left, when nothing writes any more.

        Args:
            is_whole: False where the script failed or was stopped: then what is missing is no
                surprise.
        """
        try:
            self._sources.close(time.monotonic())
            problems = self._arrays.keep(self._run.directory)
            for text in self._sources.differences(self._config):
                self._run.warn(text)
            if is_whole:
                for text in (*self._sources.complaints(), *problems):
                    self._run.warn(text)
        finally:
            self._claims.close()
