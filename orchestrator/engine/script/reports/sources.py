"""All that tells the metrics of one script, beside the patterns on its output.

Followed are the files that the sweep file names, and by themselves what a script writes to
``$SWEEP_METRICS`` and what it logs with ``wandb.log``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.engine.script import config_check
from orchestrator.engine.script.launch import REPORTED_FILE
from orchestrator.engine.script.outputs.file_claims import Claims, FoundFiles
from orchestrator.engine.script.reports.log_files import (
    Columns,
    Log,
    RowsLog,
    Settings,
    TextLog,
    open_log,
    wandb_log,
)
from orchestrator.engine.script.reports.merge import Reports
from orchestrator.runs.curves import GrowingJsonLines, LogProblem, Mark, WandbLog, mark
from orchestrator.sweepfile.model import MetricSources

_EPOCHS = ("epochs", "max_epochs", "num_epochs", "n_epochs", "num_train_epochs", "total_epochs")
WANDB_LOGS = "wandb/*run-*/run-*.wandb"
"""In the run directory: where W&B writes, told so by ``WANDB_DIR``."""


class Sources:
    """Follows the logs of one script. Make it before the script starts.

    Args:
        wanted: what the sweep file says.
        patterns: find metrics in logs that are plain text.
        sink: takes the reports.
        directory: the run directory.
        base: returns the folder where paths start; None while it is not known.
        claims: of the trial; None where no other trial writes into `base`.
        expand: puts in the macros of a path; None where it names a parameter that is absent.
        config: parameter name to value, which may say how many epochs there will be.
    """

    def __init__(
        self,
        wanted: MetricSources,
        sink: Reports,
        *,
        patterns: Sequence[str] = (),
        directory: Path,
        base: Callable[[], Path | None],
        claims: Claims | None = None,
        expand: Callable[[str], str | None] = lambda text: text,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self._sink = _Latest(sink)
        self._settings = Settings(wanted.step, dict(wanted.names), patterns)
        self._settings.epochs = _epochs(config or {})
        self._settings.latest = lambda: self._sink.step
        self._entries = [
            _Entry(written, path, base, claims, self._settings, self._sink)
            for written in wanted.files
            if (path := expand(written)) is not None
        ]
        self._wandb = FoundFiles(WANDB_LOGS, lambda: directory, None)
        self._wandb_logs: list[tuple[Path, Log]] = []
        reported = directory / REPORTED_FILE
        own = GrowingJsonLines(reported, mark(reported))
        columns = Columns(wanted.step, wanted.names, prefers_steps=True)
        self._own = RowsLog(
            "$SWEEP_METRICS",
            lambda last: own.close() if last else own.read(),
            columns,
            self._sink,
            at_once=True,
        )

    @property
    def count(self) -> int:
        """How many reports were made."""
        return self._sink.count

    @property
    def matched(self) -> set[str]:
        """The patterns that have found something in logs of plain text."""
        return {pattern for entry in self._entries for pattern in entry.matched()}

    def look(self, now: float) -> None:
        """Take what is new; `now` is a monotonic time, s."""
        self._own.look(now)
        for path in self._wandb.look(now=now):
            self._wandb_logs.append((path, wandb_log(path, self._settings, self._sink)))
        for _, log in self._wandb_logs:
            log.look(now)
        for entry in self._entries:
            entry.look(now)

    def close(self, now: float) -> None:
        """Take what is left, once nothing writes any more."""
        self.look(now)
        for path in self._wandb.look():
            self._wandb_logs.append((path, wandb_log(path, self._settings, self._sink)))
        self._own.close(now)
        for _, log in self._wandb_logs:
            log.close(now)
        for entry in self._entries:
            entry.close(now)

    def complaints(self) -> list[str]:
        """Return a sentence for each source that gave nothing; for after a script's good end."""
        return [text for entry in self._entries if (text := entry.complaint())]

    def differences(self, config: Mapping[str, Any]) -> list[str]:
        """Return the parameters that ``wandb.config`` holds with other values than were asked."""
        found: list[str] = []
        for path, _ in self._wandb_logs:
            log = WandbLog(path)
            try:
                log.read()
            except LogProblem:
                continue
            found += config_check.differences(config, log.config)
        return list(dict.fromkeys(found))


def _epochs(config: Mapping[str, Any]) -> int | None:
    """Return how many epochs a config asks for, None where it does not say."""
    for name, value in config.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if name.replace("-", "_").rpartition(".")[2] in _EPOCHS and is_number and value >= 1:
            return int(value)
    return None


class _Entry:
    """One entry of ``metrics.files``: a file, a glob, or a folder of TensorBoard, W&B or MLflow."""

    def __init__(
        self,
        written: str,
        path: str,
        base: Callable[[], Path | None],
        claims: Claims | None,
        settings: Settings,
        sink: Reports,
    ) -> None:
        self._written = written
        self._sink = sink
        self._settings = settings
        plain = path.rstrip("/") or "."
        self._searches = [
            FoundFiles(plain, base, claims),
            FoundFiles(f"{plain}/**/*.tfevents.*", base, claims),
            FoundFiles(f"{plain}/**/run-*.wandb", base, claims),
            FoundFiles(f"{plain}/*/*/metrics", base, claims, folders=True),
        ]
        self._waiting: list[tuple[Path, Mark | None]] = []
        self._logs: list[tuple[Path, Log]] = []
        self._has_told = False

    def look(self, now: float) -> None:
        """Take what is new."""
        self._open(now)
        for _, log in self._logs:
            log.look(now)

    def close(self, now: float) -> None:
        """Take what is left."""
        self._open(None)
        for _, log in self._logs:
            log.close(now)

    def matched(self) -> set[str]:
        """Return the patterns that have found something in the entry's files."""
        logs = [log for _, log in self._logs if isinstance(log, TextLog)]
        return {pattern for log in logs for pattern in log.matched}

    def complaint(self) -> str | None:
        """Return what to say where nothing came of the entry."""
        if any(log.count for _, log in self._logs):
            return None
        where = f"metrics.files {self._written!r}"
        found = [str(path) for path, _ in (*self._logs, *self._waiting)]
        if found:
            return f"{where}: must hold metrics, but no numbers were found in {found[0]}"
        foreign = [path for search in self._searches for path in search.foreign]
        if foreign:
            return (
                f"{where}: must be this trial's, but another trial that runs writes {foreign[0]}. "
                "Write workdir: copy, or let the name hold ${run_dir}"
            )
        return f"{where}: must match what the program writes, but no new file matched"

    def _open(self, now: float | None) -> None:
        for search in self._searches:
            for path in search.look(now=now):
                # MLflow keeps a run's metrics in a folder of that name.
                there = path.parent if path.is_dir() else path
                if path.is_file() or (there / "meta.yaml").is_file():
                    self._waiting.append((there, search.before(path)))
        still = []
        for path, after in self._waiting:
            log = open_log(path, after, self._settings, self._sink)
            if log is None:
                still.append((path, after))
            else:
                self._logs.append((path, log))
        self._waiting = still
        tables = [path for path, log in self._logs if ".tfevents." not in path.name]
        if len(tables) > 1 and not self._has_told and tables[0].name == tables[1].name:
            self._has_told = True
            names = ", ".join(map(str, tables[:3]))
            if not all(path.name == "trainer_state.json" for path in tables):
                self._sink.warn(
                    f"metrics.files {self._written!r}: follows {len(tables)} new files: {names}. "
                    "Where trials run at once, write outputs or workdir: copy, so that each "
                    "follows its own"
                )


class _Latest:
    """A sink that remembers the step that was reported last."""

    def __init__(self, sink: Reports) -> None:
        self._sink = sink
        self.describe = sink.describe
        self.warn = sink.warn
        self.step: int | None = None
        self.count = 0

    def report(self, step: int, **metrics: float) -> None:
        """Pass one report on."""
        self.step = step
        self.count += 1
        self._sink.report(step, **metrics)
