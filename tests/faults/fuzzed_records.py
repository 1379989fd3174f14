"""The parsers of what sweeps write themselves, and of the requests to the dashboard."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from orchestrator.analysis.status import read_status
from orchestrator.cli.render.events import in_words
from orchestrator.files import atomic, jsonl
from orchestrator.placement.leases.lease_files import parse_claim
from orchestrator.placement.memory_needs.history import History, memory_key
from orchestrator.placement.model import Device
from orchestrator.reporting.attempts_log import occupancy
from orchestrator.reporting.dashboard import access, follower, server
from orchestrator.runs import SweepDir, SweepRecord, SweepState, TrialRecord, TrialState
from orchestrator.runs.read import SweepInfo, open_run
from orchestrator.search.study import Study
from orchestrator.sweepfile.model import MetricGoal
from orchestrator.sweepfile.resume_diff import differences
from tests.engine.sweeps import toy_spec
from tests.faults.fuzzed import Parse, Parser, of_file

SECRET = "s" * 32
REQUESTS = [
    b"GET\n/sweep/s\ntoken=" + SECRET.encode() + b"\nhost: 127.0.0.1:80\n\n",
    b"POST\n/sweep/s/stop\n\nhost: localhost\norigin: http://localhost\nauthorization: Bearer "
    + SECRET.encode()
    + b'\n\n{"trial": 0}',
    b"GET\n/sweep/s/run/0\n\nhost: [::1]\ncookie: sweep=" + SECRET.encode() + b"; a=b\n\n",
    b"GET\n/static/live.js\ntoken=" + SECRET.encode() + b"\nhost: localhost:1\n\n",
]


def parsers(folder: Path) -> dict[str, Parser]:
    """Return the parsers by name."""
    sweep = _sweep(folder / "results")
    (run, *_) = sweep.run_dirs()
    # Read once: damaged files take the places of the good ones.
    good = {path: path.read_bytes() for path in (*sweep.path.iterdir(), *run.path.iterdir())
            if path.is_file()}  # fmt: skip
    spec = json.loads(good[sweep.spec_file])

    def in_place(path: Path, read: Callable[[Path], object]) -> Parser:
        def parse(content: bytes) -> object:
            path.write_bytes(content)
            try:
                return read(path)
            finally:
                path.write_bytes(good[path])

        return Parser(parse, [good[path]])

    def logged(_: Path) -> object:
        looks = follower.Follower(sweep).look()
        stored = open_run(run.path, TrialRecord.load(run))
        return stored.reports, stored.last_reports(all_in_tail=True), stored.logged, looks

    def events(path: Path) -> object:
        return in_words()(path.read_bytes()), occupancy(sweep)

    def read_spec(_: Path) -> object:
        kept = SweepRecord.load_spec(sweep)
        return differences(kept, spec), SweepInfo.load(sweep), read_status(sweep)

    return {
        "trial record": in_place(run.state_file, lambda _: (TrialRecord.load(run, damaged=True),
                                                            read_status(sweep))),
        "sweep record": in_place(sweep.state_file, lambda _: (SweepRecord.load(sweep),
                                                              read_status(sweep))),
        "spec.json": in_place(sweep.spec_file, read_spec),
        "metrics.jsonl": in_place(run.metrics_file, logged),
        "events.jsonl": in_place(sweep.events_file, events),
        "journal of the study": Parser(
            of_file(folder / "study", "study.journal", _study(folder)), [_journal(folder)]
        ),
        "placement.json": Parser(of_file(folder, "placement.json", _history), [_measured(folder)]),
        "lease": Parser(parse_claim, [b'[1, "gpu", 5, 5, 1]'], _with_check),
        "request to the dashboard": Parser(_dashboard(sweep), REQUESTS),
    }  # fmt: skip


def _sweep(results: Path) -> SweepDir:
    """Return a sweep that ended."""
    sweep = SweepDir(results / "s")
    sweep.trials_dir.mkdir(parents=True)
    spec = toy_spec(results, {"a": {"lr": 0.1}}, metric=MetricGoal("val_mae"))
    atomic.write_json(sweep.spec_file, spec.to_dict())
    record = SweepRecord("s", SweepState.FINISHED, n_trials=1, metric="val_mae")
    record.placement = {"waiting": None, "growth": {"0": "grew"}, "fallback": None}
    record.course = {"stages": {"quick": {"to": "full", "promoted": [0], "words": "top 1"}}}
    record.save(sweep)
    trial = TrialRecord(0, "t0", {"lr": 0.1}, TrialState.COMPLETE, attempt=1)
    trial.slot = {"device": "cpu", "memory_mib": 100, "threads": 1}
    trial.need = {"memory_mib": 100, "source": "measured", "peak_mib": 90}
    trial.note = {"note": "n", "expect": "improves"}
    trial.started_at = trial.ended_at = trial.created_at
    trial.total_steps, trial.value, trial.stage = 3, 0.5, "quick"
    run = sweep.run_dir(0, "t0")
    trial.save(run)
    for step in range(3):
        values = {"train_loss": 1.0 / (step + 1), "val_mae": 2.0 / (step + 1)}
        jsonl.append(run.metrics_file, {"step": step, "time": 1.8e9 + step, "metrics": values})
    started = {"plan": {"n_trials": 1, "start_parallel": 1}, "kept": 0}
    for event, details in {
        "sweep_started": started,
        "trial_started": {"number": 0, "name": "t0", "slot": trial.slot, "attempt": 1},
        "trial_ended": {"number": 0, "name": "t0", "state": "COMPLETE", "value": 0.5},
        "waiting": {"words": "waits"},
        "sweep_ended": {"state": "FINISHED", "reason": None},
    }.items():
        jsonl.append(sweep.events_file, {"time": record.started_at, "event": event, **details})
    return sweep


def _study(folder: Path) -> Callable[[Path], object]:
    spec = toy_spec(folder, {"a": {}}, method="bayes", metric=MetricGoal("val_mae"))

    def read(path: Path) -> object:
        study = Study(path, "s", spec)
        study.close_stale()
        return study.states()

    return read


def _journal(folder: Path) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "study.journal"
        spec = toy_spec(folder, {"a": {}}, method="bayes", metric=MetricGoal("val_mae"))
        study = Study(path, "s", spec)
        for value in (0.5, 0.25):
            number = study.ask({}, {"lr": value}).number
            study.report(number, 1, value)
            study.tell(number, "COMPLETE", value)
        study.ask({}, {"lr": 0.1})
        return path.read_bytes()


_KEY = memory_key("r", {"width": 8}, Device("0", "gpu", 1 << 33, 1 << 33))


def _history(path: Path) -> object:
    history = History(path)
    return history.lookup(_KEY), history.growth(_KEY), history.record(_KEY, 1 << 20)


def _measured(folder: Path) -> bytes:
    path = folder / "measured.json"
    folder.mkdir(parents=True, exist_ok=True)
    History(path).record(_KEY, 1 << 30)
    History(path).record_growth(_KEY, {"at_once": 2})
    return path.read_bytes()


def _with_check(body: bytes) -> bytes:
    return b"%08x %s\n" % (zlib.crc32(body.rstrip()), body)


def _dashboard(sweep: SweepDir) -> Parse:
    """Return what answers a request: method, path, query, headers, an empty line, body."""
    app = access.Guard(server.application(sweep.path.parent), SECRET, "sweep")
    requests = sweep.path / "requests"

    def parse(content: bytes) -> object:
        head, _, body = content.partition(b"\n\n")
        method, path, query, *headers = [*head.split(b"\n"), b"", b"", b""]
        # What the server of HTTP passes on: it refuses odd methods and headers itself.
        scope = {
            "type": "http",
            "method": method.decode("latin-1").upper(),
            "path": unquote(path.decode("latin-1")),
            "raw_path": path,
            "query_string": query,
            "headers": [(name.strip().lower(), value.strip()) for name, _, value in
                        (line.partition(b":") for line in headers)],
            "scheme": "http", "http_version": "1.1", "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1), "root_path": "", "state": {},
        }  # fmt: skip
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        if scope["path"].endswith("/events"):  # never ends
            return None
        asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
        shutil.rmtree(requests, ignore_errors=True)
        assert statuses
        assert statuses[0] < 500
        is_open = SECRET.encode() in content
        assert is_open or statuses[0] == 403
        return statuses

    return parse
