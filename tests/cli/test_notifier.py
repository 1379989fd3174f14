from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestrator.cli.notifier import Notifier
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialRecord, TrialState
from orchestrator.sweepfile import load_spec
from tests.analysis import made
from tests.engine.sweeps import processes_with, wait_until

LOST = {"symptom": "non-finite", "reason": "diverged: train_loss is nan"}


def notifier(folder: Path, notify: str) -> tuple[Notifier, SweepDir]:
    path = folder / "sweep.yaml"
    path.write_text(f"trainer: edc\nparameters: {{lr: {{values: [1, 2]}}}}\nnotify: {notify}\n")
    sweep = made.sweep(folder / "results", n_trials=4)
    made.trial(sweep, 0, value=0.25)
    found = Notifier(load_spec(path))
    found.opened(sweep)
    return found, sweep


def ended(sweep: SweepDir, number: int, state: TrialState, **more: str) -> TrialRecord:
    run = made.trial(sweep, number, state=state, **more)
    record = TrialRecord.load(run)
    assert record is not None
    return record


def test_each_event_is_reported_once_with_the_head_of_the_table(tmp_path: Path) -> None:
    told, sweep = notifier(
        tmp_path,
        "'{ echo $SWEEP_EVENT,$SWEEP_NAME,$SWEEP_STATE,$SWEEP_TRIAL,$SWEEP_DONE/$SWEEP_TRIALS; "
        "cat; } > $SWEEP_EVENT.txt; echo x >> $SWEEP_EVENT.count'",
    )
    for number in (1, 2):
        told("trial_ended", ended(sweep, number, TrialState.FAIL, reason="exit code 1\nmore"))
    told("trial_ended", ended(sweep, 3, TrialState.PRUNED, **LOST))
    told("trial_started", ended(sweep, 4, TrialState.FAIL))
    told.close()
    failure = (tmp_path / "failure.txt").read_text().splitlines()
    assert failure[0] == "failure,demo,FAIL,1,2/4"
    assert failure[1] == "demo: trial 1 (t1): FAIL (exit code 1), 2 of 4 trials done"
    assert any(line.startswith("rank") or "complete" in line for line in failure)
    assert (tmp_path / "divergence.txt").read_text().startswith("divergence,demo,PRUNED,3,4/4")
    assert (tmp_path / "end.txt").read_text().startswith("end,demo,FINISHED,,5/4")
    for event in ("failure", "divergence", "end"):
        assert (tmp_path / f"{event}.count").read_text() == "x\n"


@pytest.mark.parametrize(
    ("notify", "warning"),
    [
        ("'echo no mail >&2; exit 3'", "Warning: notify: exit code 3: no mail"),
        ("{command: sleep 60, timeout: 0.2s}", "Warning: notify: killed after"),
        ("'yes | cat > /dev/null & echo; exit 1'", "Warning: notify: exit code 1"),
        ("/", "Warning: notify: exit code 126"),
    ],
)
def test_a_bad_command_costs_a_warning_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], notify: str, warning: str
) -> None:
    told, _ = notifier(tmp_path, notify)
    began = time.monotonic()
    told.close()
    assert time.monotonic() - began < 10
    assert warning in capsys.readouterr().out
    wait_until(lambda: not processes_with(f"SWEEP_FOLDER={tmp_path}/results/demo\0"), 5)


def test_a_secret_of_the_environment_reaches_the_command_and_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_URL", "https://example.org/secret")
    told, _ = notifier(tmp_path, "'echo ${env:HOOK_URL} > url.txt'")
    assert "example.org" not in str(load_spec(tmp_path / "sweep.yaml").to_dict())
    told.close()
    assert (tmp_path / "url.txt").read_text() == "https://example.org/secret\n"
