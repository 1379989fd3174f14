"""Kill a sweep at each of its writes, in forked processes: ``python -m tests.faults.crashing``.

::

    LD_PRELOAD=shim.so python -m tests.faults.crashing FOLDER SCENARIO POINTS

For every point and for each way to be killed there (before the operation, after half of a write,
after it), a sweep runs until it is killed. Then all that reads must read what it left, no report
that was taken in may be missing, and the sweep must continue to the table of an undisturbed run.
What does not hold is printed, one line each; the last line counts.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import torch  # noqa: F401  # so that no forked process loads it

from orchestrator.analysis.table import compare
from orchestrator.cli import main
from orchestrator.engine.driver.driver import run_sweep
from orchestrator.files import jsonl, plain
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import SweepState, TrialState, load_trials
from orchestrator.sweepfile.load import load_spec
from tests.engine.sweeps import TOY, cpu_plan
from tests.faults.forked import WAYS, arm, counted, in_fork

SCENARIOS = {
    # Promotion with checkpoints, a trial that diverges, with their states, study and history.
    "stages": f"""\
version: 1
name: s
trainer: {TOY}
metric: {{name: val_mae, goal: minimize}}
trials:
  {{a: {{set: {{lr: 0.1}}}}, b: {{set: {{lr: 0.9}}}}, nan: {{set: {{shape: nan, epochs: 6}}}}}}
stages: {{quick: {{set: {{epochs: 2}}, promote: {{top: 1}}}}, full: {{set: {{epochs: 3}}}}}}
""",
    "seeds": f"""\
version: 1
name: s
trainer: {TOY}
metric: {{name: val_mae, goal: minimize}}
fixed: {{epochs: 2}}
parameters: {{lr: {{values: [0.1, 0.9]}}}}
seeds: [0, 1]
""",
    "bayes": f"""\
version: 1
name: s
trainer: {TOY}
method: bayes
run_cap: 3
metric: {{name: val_mae, goal: minimize}}
fixed: {{epochs: 2}}
parameters: {{lr: {{min: 0.1, max: 0.9}}}}
""",
    "script": """\
version: 1
name: s
program: ./train.sh
params_file: {write: params.json}
workdir: copy
metric: {name: val_loss, goal: minimize}
metrics: {pattern: 'step (?P<step>\\d+) val_loss (?P<val_loss>\\S+)'}
parameters: {x: {values: [1, 2]}}
""",
}

SCRIPT = "#!/bin/sh\necho step 1 val_loss 0.$RANDOM\necho step 2 val_loss 0.5\n"


def run(folder: Path, taken_in: int | None = None, *, retry_failed: bool = False) -> bool:
    """Run or continue the sweep in this process; write each report that was taken in to a pipe.

    Returns whether it has ended, with no trial that failed, as one does whose script was killed.
    """

    def listen(event: str, record: Any, facts: Any) -> None:
        if event == "report" and taken_in is not None:
            report = [record.number, record.attempt, facts["step"], plain(facts["metrics"])]
            os.write(taken_in, json.dumps(report).encode() + b"\n")

    spec = load_spec(folder / "sweep.yaml")
    outcome = run_sweep(
        spec,
        cpu_plan(1),
        results=folder / "results",
        listener=listen,
        inline=True,
        retry_failed=retry_failed,
    )
    failed = any(record.state is TrialState.FAIL for record in outcome.records.values())
    return outcome.state is SweepState.FINISHED and not failed


def table(folder: Path) -> list[Any]:
    """Return what matters of a sweep that has ended: its trials and the values that rank them."""
    rows = compare([folder / "results"]).rows
    trials = load_trials(SweepDir(folder / "results" / "s"))
    if "bayes" in (folder / "sweep.yaml").read_text():  # the sampler may have lost a proposal
        return [sorted(trial.state.value for trial in trials), len(rows)]
    return [
        [[row.trial, row.metrics.get("val_mae"), row.metrics.get("val_loss")] for row in rows],
        [[t.number, t.name, t.config, t.state.value, t.value, t.stage] for t in trials],
    ]


def readable(folder: Path) -> list[str]:
    """Return what commands that read cannot do with a folder."""
    results = folder / "results"
    if not (results / "s" / "state.json").exists():
        return []
    problems = []
    for words in (
        ["status", "s"],
        ["compare", str(results)],
        ["doctor", "s"],
        ["logs", "--sweep", "s"],
    ):
        options = [] if words[0] == "compare" else ["--results", str(results)]
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
            try:
                main([*words, *options])
            except SystemExit as ended:
                if ended.code not in (0, 1, 2) or "Traceback" in shown.getvalue():
                    problems.append(f"{words}: {ended.code} {shown.getvalue()[-300:]}")
            except BaseException as error:
                problems.append(f"{words}: {error!r} {traceback.format_exc()[-600:]}")
    return problems


def lost(folder: Path, taken_in: list[list[Any]]) -> list[Any]:
    """Return the reports that were taken in and that no log of their trial holds."""
    held: dict[int, list[Any]] = {}
    for run_dir in SweepDir(folder / "results" / "s").run_dirs():
        logs = sorted(run_dir.path.glob("metrics*.jsonl"))
        held[run_dir.number or 0] = [
            [line.get("step"), line.get("metrics")] for log in logs for line in jsonl.read(log)
        ]
    return [
        report for report in taken_in
        if str(report[2:]) not in {str(one) for one in held.get(report[0], [])}
    ]  # fmt: skip


def check(folder: Path, way: str, point: int, wanted: list[Any]) -> list[str]:
    """Kill a sweep at one operation, continue it, and return what does not hold."""
    code, reports = killed(folder, way, point)
    if code == 0:
        return [] if way == "torn" else ["was not killed"]
    if code != -signal.SIGKILL:
        return [f"ended with {code}: {reports[-600:]}"]
    taken_in = [json.loads(line) for line in reports.splitlines() if line.startswith("[")]
    problems = readable(folder)
    problems += [f"a report is lost: {one}" for one in lost(folder, taken_in)]
    code, printed = in_fork(lambda: run(folder))
    if code != 0:
        return [*problems, f"does not continue: {printed[-800:]}"]
    problems += [f"a report is lost at last: {one}" for one in lost(folder, taken_in)]
    found = table(folder)
    if found != wanted:
        problems.append(f"another table: {found} instead of {wanted}")
    left = [str(path.relative_to(folder)) for path in (folder / "results").rglob(".*.tmp")]
    return problems + ([f"left over: {left}"] if left else [])


def killed(folder: Path, way: str, point: int) -> tuple[int, str]:
    """Run the sweep under a fault; return how it ended and the reports that were taken in."""

    def act() -> None:
        arm(way, point, folder)
        run(folder, 1)
        if way == "count":
            print(counted())

    return in_fork(act)


def prepare(folder: Path, scenario: str) -> None:
    """Make an empty folder with the scenario's files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "sweep.yaml").write_text(SCENARIOS[scenario])
    (folder / "train.sh").write_text(SCRIPT.replace("0.$RANDOM", "0.7"))
    (folder / "train.sh").chmod(0o755)


def crash(folder: Path, scenario: str, points: int) -> int:
    """Kill at `points` operations in each way (0 for all); print and count what does not hold."""
    prepare(folder, scenario)
    run(folder)  # so that no forked process imports anything
    prepare(folder, scenario)
    code, printed = killed(folder, "count", 0)
    assert code == 0, printed
    total, wanted = int(printed.split()[-1]), table(folder)
    chosen = range(1, total + 1)
    if points:
        chosen = sorted(random.Random(total).sample(chosen, min(points, total)))
    bad = 0
    for number, point in enumerate(chosen):
        # Of few points each is tried in one way, so that every way is tried somewhere.
        for way in (WAYS[number % 3],) if points else WAYS:
            prepare(folder, scenario)
            problems = check(folder, way, point, wanted)
            bad += bool(problems)
            for problem in problems:
                print(f"{scenario} {way} {point}/{total}: {problem}", flush=True)
    print(
        json.dumps({"scenario": scenario, "operations": total, "points": len(chosen), "bad": bad})
    )
    return bad


if __name__ == "__main__":
    os.environ["SWEEP_LEASES"] = f"{sys.argv[1]}.leases"  # also below the prefix
    sys.exit(crash(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])) > 0)
