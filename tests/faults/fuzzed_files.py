"""The parsers of logs, arrays and run folders of any tool."""

from __future__ import annotations

import gzip
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np

from orchestrator.engine.script.output_text import Lines
from orchestrator.engine.script.reports import log_files, merge, usual_lines
from orchestrator.metrics import ArrayProblem
from orchestrator.runs.curves import read_runs
from orchestrator.runs.curves.formats.tensorboard import EventLog
from orchestrator.runs.read import arrays, find_runs, groups
from tests.faults.fuzzed import (
    MARK,
    Parse,
    Parser,
    framed_archive,
    framed_array,
    framed_events,
    framed_wandb,
    of_file,
)
from tests.runs import wandb_made

CSV = b"epoch,step,train_loss,val_loss\n0,10,0.5,0.6\n1,20,0.4,\n2,30,nan,1e-3\n"
LIGHTNING = (
    b"epoch,lr,step,train_loss_epoch,train_loss_step,val_loss\n,,4,,0.5,\n0,1e-3,9,0.4,,0.6\n"
)
LINES = b'{"step": 1, "loss": 0.5}\n{"step": 2, "loss": NaN, "eval": {"acc": 0.5}}\n'
STATE = (
    b'{"global_step": 2, "epoch": 1.0, "log_history": [{"loss": 1.0, "step": 1, "epoch": 0.1}'
    b', {"eval_loss": 2.0, "step": 2}]}'
)
KERAS = b'{"loss": [1.0, 0.5], "val_loss": [1.1, 0.6]}'
TEXT = b"INFO Epoch 1/5 | Train: 0.18 | Val: 0.19 | LR: 1e-4\nepoch=2 loss: 0.5, acc 50%\n"
BARS = b"\x1b[1mEpoch 1\x1b[0m:  50%|##   | 1/2 [00:01<00:01, loss=0.5]\rEpoch 1: loss 1.#QNAN\r\n"
NNUNET = (
    b"2024-05-01 10:00:00.1: Epoch 0 \n2024-05-01 10:00:00.2: Current learning rate: 0.01 \n"
    b"2024-05-01 10:01:00.1: train_loss -0.1234 \n2024-05-01 10:01:00.2: val_loss -0.2 \n"
    b"2024-05-01 10:01:00.3: Pseudo dice [0.5, nan] \n"
)
TABLE = b"# epoch loss val\n1 0.5 0.6\n2 0.4 0.5\n3 nan 0.4\n"
OF_RUNS = (
    b"run,lr,batch_size,val_loss,state,duration\na,1e-3,8,0.5,finished,3\nb,1e-4,16,0.4,failed,4\n"
)
METRIC = b"1700000000000 0.5 0\n1700000001000 nan 1\n1700000002000 0.25 2\n"
ABOUT = b"run_name: a\nlifecycle_stage: active\nrun_id: abc\n"
TSV = b"timestamp\tstep\tloss\n1700000000\t0\t0.5\n1700000001\t1\t0.4\n"
HEADER = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4), }          \n"
MANIFEST = (
    b"runs: '*'\npredictions: preds.npy\ntargets: arrays.npz:truth\n"
    b"groups: labels.csv:speaker\nrate: 100\nconfig: conf.json\nlogged: log.csv\nsplit: test\n"
)
LABELS = b"id,speaker\n1,anna\n2,bert\n3,anna\n"
ABOUT_RUN = (
    b'{"config": {"lr": 0.1, "model": {"width": 8}}, "metrics": {"mae": 0.5}, "total_steps": 3, '
    b'"warnings": ["w"], "data": {"kind": "arrays", "rate_hz": 10, "groups": "g.csv:id"}}'
)


def _event(step: int, tag: bytes, value: float) -> bytes:
    from google.protobuf import descriptor_pb2  # noqa: F401  (loads protobuf)

    from orchestrator.runs.curves.formats.tensorboard import _event_class

    event = _event_class()(time=1.7e9 + step, step=step)
    event.summary.value.add(tag=tag, simple_value=[value])
    event.summary.value.add(tag=b"t").tensor.floats.append(value)
    return bytes(event.SerializeToString())


EVENTS = MARK.join(_event(step, b"train/loss", 1 / (step + 1)) for step in range(3))
RECORDS = MARK.join(
    wandb_made.records_of(
        {"lr": 0.1, "model": {"width": 8}},
        [(step, {"loss": 1 / (step + 1), "val.acc": 0.5, "_step": step}) for step in range(3)],
    )
)


class Reports(merge.Reports):
    """Keeps no report."""

    def report(self, step: int, **metrics: float) -> None:
        super().report(step, **metrics)
        assert isinstance(step, int)
        assert all(isinstance(value, float) for value in metrics.values())

    def describe(self, *, total_steps: int) -> None:
        assert isinstance(total_steps, int)

    def warn(self, text: str) -> None:
        assert text


def parsers(folder: Path) -> dict[str, Parser]:
    """Return the parsers by name."""
    folder.mkdir(parents=True, exist_ok=True)

    def log(name: str) -> Parse:
        return of_file(folder / name, name, _curves)

    def live(name: str) -> Parse:
        return lambda content: _follow(folder / "live" / name, content)

    plain = {
        "CSV": ("log.csv", [CSV]),
        "Lightning": ("metrics.csv", [LIGHTNING]),
        "plain table": ("loss.dat", [TABLE]),
        "JSON lines": ("log.jsonl", [LINES]),
        "JSON": ("trainer_state.json", [STATE, KERAS]),
        "text log": ("log.txt", [TEXT, BARS]),
        "nnU-Net": ("training_log_2024_5_1.txt", [NNUNET]),
        "TensorBoard, frames": ("events.out.tfevents.1", [framed_events(EVENTS)]),
        "W&B, blocks": ("run-1.wandb", [framed_wandb(RECORDS)]),
        "MLflow, database": ("mlflow.db", [_database()]),
    }
    found = {kind: Parser(log(name), seeds) for kind, (name, seeds) in plain.items()}
    csv, utf16 = CSV.decode(), "utf-16"
    return found | {
        "table of runs": Parser(of_file(folder / "table", "runs.csv", _runs), [OF_RUNS]),
        "TensorBoard": Parser(log("e.tfevents.1"), [EVENTS], framed_events),
        "W&B": Parser(log("run-2.wandb"), [RECORDS], framed_wandb),
        "gzip": Parser(log("a.csv.gz"), [CSV, LINES], lambda data: gzip.compress(data, 1)),
        "gzip, damaged": Parser(log("b.csv.gz"), [gzip.compress(CSV), gzip.compress(LINES)]),
        "UTF-16": Parser(log("log.csv"), [csv.encode(utf16), csv.encode("utf-16-le")]),
        "MLflow, folder": Parser(_mlflow(folder / "mlflow"), [METRIC, ABOUT]),
        "DVCLive": Parser(_dvclive(folder / "dvc"), [TSV]),
        "log that grows, CSV": Parser(live("log.csv"), [CSV, LIGHTNING]),
        "log that grows, JSON lines": Parser(live("log.jsonl"), [LINES]),
        "log that grows, text": Parser(live("train.log"), [TEXT, NNUNET, BARS]),
        "log that grows, JSON": Parser(live("trainer_state.json"), [STATE]),
        "log that grows, events": Parser(live("e.tfevents.1"), [EVENTS], framed_events),
        "log that grows, W&B": Parser(live("run-1.wandb"), [RECORDS], framed_wandb),
        "output": Parser(_output, [TEXT, NNUNET, BARS]),
        "array, header": Parser(
            of_file(folder, "a.npy", arrays.load_array), [HEADER], framed_array, (ArrayProblem,)
        ),
        "array": Parser(
            of_file(folder, "b.npy", arrays.load_array), [_array()], None, (ArrayProblem,)
        ),
        "archive of arrays": Parser(
            of_file(folder, "c.npz", _of_archive), [HEADER], framed_archive, (ArrayProblem,)
        ),
        "archive, damaged": Parser(
            of_file(folder, "d.npz", _of_archive), [framed_archive(HEADER)], None, (ArrayProblem,)
        ),
        "sequences": Parser(
            _sequences(folder / "sequences"),
            [HEADER.replace(b"<f8", b"<i8").replace(b"(2, 4)", b"(8,)")],
            framed_array,
            (ArrayProblem,),
        ),
        "groups": Parser(_labels(folder / "csv", "g.csv"), [LABELS], None, (ArrayProblem,)),
        "sweep-runs.yaml": Parser(_run_folder(folder / "m", "sweep-runs.yaml"), [MANIFEST]),
        "metadata.json": Parser(_run_folder(folder / "d", "metadata.json"), [ABOUT_RUN]),
        "config.yaml": Parser(_run_folder(folder / "y", "config.yaml"), [b"lr: 1e-3\nm: {w: 8}\n"]),
        "params.json": Parser(_run_folder(folder / "p", "params.json"), [ABOUT_RUN]),
    }


def _curves(path: Path) -> object:
    return [(run.names, list(run.reports), run.config) for run in read_runs(path)]


def _runs(path: Path) -> object:
    return [(one.config, one.logged, one.warnings, list(one.curve)) for one in find_runs([path])]


def _follow(path: Path, content: bytes) -> None:
    """Follow a log that is written in three pieces."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    logs = log_files.LogFiles(Reports(), patterns=[r"loss[:= ]+(?P<loss>\S+)"], epochs=3)
    found = None
    thirds = len(content) // 3
    for end in (thirds, 2 * thirds, len(content)):
        path.write_bytes(content[:end])
        found = found or logs.open(path)
        if found is not None:
            found.look(float(end), last=end == len(content))
    if ".tfevents." in path.name:
        list(EventLog(path).timed(last=True))


def _output(content: bytes) -> None:
    pattern = r"[Ee]poch[ =](?P<step>\S+)|loss[:= ]+(?P<loss>\S+)|Val: (?P<val>\S+)"
    followers = (
        merge.Follower([pattern], Reports()),
        usual_lines.UsualLines(Reports(), ["lr"]),
    )
    lines = Lines()
    half = len(content) // 2
    for part in (content[:half], content[half:]):
        for line in lines.feed(part):
            for one in followers:
                one.line(line, 0.0)
    rest = lines.unfinished()
    for one in followers:
        if rest is not None:
            one.unfinished(rest, 1.0)
        one.send()


def _array() -> bytes:
    with tempfile.TemporaryFile() as stream:
        np.save(stream, np.arange(8.0).reshape(2, 4))
        stream.seek(0)
        return stream.read()


def _of_archive(path: Path) -> object:
    return arrays.load_array(path, "a")


def _sequences(folder: Path) -> Parse:
    folder.mkdir(parents=True)
    np.save(folder / "p.npy", np.empty(0))
    lengths = folder / "l.npy"
    return of_file(folder, "l.npy", lambda _: arrays.load_sequences(folder / "p.npy", lengths))


def _labels(folder: Path, name: str) -> Parse:
    def read(path: Path) -> object:
        return groups.load_groups(path.parent, {"groups": f"{name}:speaker"}, "test", 3)

    return of_file(folder, name, read)


def _run_folder(folder: Path, name: str) -> Parse:
    """Return what reads a run folder of which one file is damaged."""
    run = folder / "run"
    run.mkdir(parents=True)
    for array in ("predictions.npy", "targets.npy", "preds.npy"):
        np.save(run / array, np.arange(6.0).reshape(3, 2))
    np.savez(run / "arrays.npz", truth=np.arange(6.0).reshape(3, 2))
    (run / "g.csv").write_text("id\n1\n2\n1\n")
    (run / "labels.csv").write_bytes(LABELS)
    (run / "conf.json").write_bytes(b'{"lr": 0.1}')
    (run / "log.csv").write_bytes(CSV)

    def read(_: Path) -> object:
        for one in find_runs([folder]):
            found = one.config, one.logged, one.warnings, one.data, one.missing, list(one.curve)
            try:
                one.load_pair()
                one.load_groups("test", 3)
            except ArrayProblem:
                continue
        return found

    return of_file(folder if name == "sweep-runs.yaml" else run, name, read)


def _mlflow(folder: Path) -> Parse:
    metrics = folder / "metrics"
    metrics.mkdir(parents=True)
    (folder / "params").mkdir()

    def parse(content: bytes) -> object:
        is_about = content[:30].count(b":") > 0
        (folder / "meta.yaml").write_bytes(content if is_about else ABOUT)
        (metrics / "loss").write_bytes(METRIC if is_about else content)
        (folder / "params" / "lr").write_bytes(content)
        return _runs(folder), _curves(folder)

    return parse


def _dvclive(folder: Path) -> Parse:
    plots = folder / "plots" / "metrics" / "train"
    plots.mkdir(parents=True)
    (folder / "metrics.json").write_text("{}")
    return of_file(plots, "loss.tsv", lambda _: _curves(folder))


def _database() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "m.db"
        with closing(sqlite3.connect(path)) as database:
            database.executescript(
                "PRAGMA page_size=512;"
                "CREATE TABLE runs (run_uuid TEXT, name TEXT, lifecycle_stage TEXT, "
                "start_time INT);"
                "CREATE TABLE metrics (key TEXT, value REAL, timestamp INT, run_uuid TEXT, "
                "step INT, is_nan INT);"
                "INSERT INTO runs VALUES ('r', 'a', 'active', 1);"
                "INSERT INTO metrics VALUES ('loss', 0.5, 1, 'r', 0, 0), ('loss', 0, 2, 'r', 1, 1);"
            )
        return path.read_bytes()
