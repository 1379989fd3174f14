"""The sources of a script's metrics, apart from the patterns on its output.

They are the files that the sweep file names and, without being named, what a script writes to
``$SWEEP_METRICS`` and what it logs with ``wandb.log``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.engine.script import config_check
from orchestrator.engine.script.command_line import REPORTED_FILE
from orchestrator.engine.script.found_files import FoundFiles, ScriptFolder
from orchestrator.engine.script.reports.log_files import LogFiles, RowLog, TextLog
from orchestrator.engine.script.reports.merge import Reports
from orchestrator.runs.curves import LogProblem, WandbLog, tail
from orchestrator.sweepfile.model import MetricSources

_EPOCHS = ("epochs", "max_epochs", "num_epochs", "n_epochs", "num_train_epochs", "total_epochs")
WANDB_LOGS = "wandb/*run-*/run-*.wandb"  # in the run directory, because of WANDB_DIR


class Sources:
    """Follows the logs of one script. Make it before the script starts.

    Args:
        wanted: ``metrics`` of the sweep file.
        directory: the run directory.
        patterns: for logs of plain text.
        config: may hold the number of epochs.
    """

    def __init__(
        self,
        wanted: MetricSources,
        folder: ScriptFolder,
        reports: Reports,
        *,
        directory: Path,
        patterns: Sequence[str] = (),
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self._logs = LogFiles(
            reports,
            step=wanted.step,
            names=dict(wanted.names),
            patterns=patterns,
            epochs=_epochs(config or {}),
        )
        self._entries = [
            _Entry(written, path, folder, self._logs, reports)
            for written in wanted.files
            if (path := folder.expand(written)) is not None
        ]
        self._wandb = FoundFiles(WANDB_LOGS, ScriptFolder(lambda: directory))
        self._wandb_logs: list[RowLog] = []
        reported = directory / REPORTED_FILE
        self._reported = self._logs.open_reported(reported, tail.mark(reported))

    @property
    def matched(self) -> set[str]:
        """The patterns that have found something in logs of plain text."""
        logs = [log for entry in self._entries for _, log in entry.logs]
        return {pattern for log in logs if isinstance(log, TextLog) for pattern in log.matched}

    def look(self, now: float, *, last: bool = False) -> None:
        """Take what is new; `now` is a time of a monotonic clock, s."""
        self._reported.look(now, last=last)
        for path in self._wandb.look(now=None if last else now):
            self._wandb_logs.append(self._logs.open_wandb(path))
        for log in self._wandb_logs:
            log.look(now, last=last)
        for entry in self._entries:
            entry.look(now, last=last)

    def close(self, now: float) -> None:
        """Take what is left, once nothing writes any more."""
        self.look(now)
        self.look(now, last=True)

    def complaints(self) -> list[str]:
        """Return a sentence for each source without metrics; for after a script's good end."""
        return [text for entry in self._entries if (text := entry.complaint())]

    def differences(self, config: Mapping[str, Any]) -> list[str]:
        """Return the parameters that ``wandb.config`` holds with other values than requested."""
        found: list[str] = []
        for path in self._wandb.paths:
            log = WandbLog(path)
            try:
                log.read()
            except LogProblem:
                continue
            found += config_check.differences(config, log.config)
        return list(dict.fromkeys(found))


def _epochs(config: Mapping[str, Any]) -> int | None:
    """Return how many epochs a config asks for; None if it does not."""
    for name, value in config.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if name.replace("-", "_").rpartition(".")[2] in _EPOCHS and is_number and value >= 1:
            return int(value)
    return None


class _Entry:
    """One entry of ``metrics.files``: a file, a glob, or a folder of TensorBoard, W&B or MLflow."""

    def __init__(
        self, written: str, path: str, folder: ScriptFolder, log_files: LogFiles, reports: Reports
    ) -> None:
        self.logs: list[tuple[Path, RowLog | TextLog]] = []
        self._where = f"metrics.files {written!r}"
        self._reports = reports
        self._log_files = log_files
        plain = path.rstrip("/") or "."
        self._searches = [
            FoundFiles(plain, folder),
            FoundFiles(f"{plain}/**/*.tfevents.*", folder),
            FoundFiles(f"{plain}/**/run-*.wandb", folder),
            FoundFiles(f"{plain}/*/*/metrics", folder, folders=True),
        ]
        self._waiting: list[tuple[Path, tail.Mark | None]] = []
        self._has_warned = False

    def look(self, now: float, *, last: bool) -> None:
        """Take what is new."""
        for search in self._searches:
            for path in search.look(now=None if last else now):
                # MLflow keeps a run's metrics in a folder of that name.
                there = path.parent if path.is_dir() else path
                if path.is_file() or (there / "meta.yaml").is_file():
                    self._waiting.append((there, search.before(path)))
        unknown = []
        for path, after in self._waiting:
            log = self._log_files.open(path, after)
            if log is None:
                unknown.append((path, after))
            else:
                self.logs.append((path, log))
        self._waiting = unknown
        self._warn_of_several()
        for _, log in self.logs:
            log.look(now, last=last)

    def complaint(self) -> str | None:
        """Return the warning if the entry gave no metrics."""
        if any(log.count for _, log in self.logs):
            return None
        found = [path for path, _ in (*self.logs, *self._waiting)]
        if found:
            return f"{self._where}: no numbers in {found[0]}"
        foreign = [path for search in self._searches for path in search.foreign]
        if foreign:
            return (
                f"{self._where}: another running trial writes {foreign[0]}. "
                "Write workdir: copy, or let the name hold ${run_dir}"
            )
        return f"{self._where}: the program wrote no new file that matches"

    def _warn_of_several(self) -> None:
        tables = [path for path, _ in self.logs if ".tfevents." not in path.name]
        if len(tables) < 2 or self._has_warned or tables[0].name != tables[1].name:
            return
        self._has_warned = True
        if not all(path.name == "trainer_state.json" for path in tables):
            self._reports.warn(
                f"{self._where}: follows {len(tables)} new files: "
                f"{', '.join(map(str, tables[:3]))}. Where trials run at once, write outputs or "
                "workdir: copy, so that each follows its own"
            )
