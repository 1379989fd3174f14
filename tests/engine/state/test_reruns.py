"""What runs again after a failure, and what never does."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.engine.state import reruns
from orchestrator.engine.state.reruns import Retries, passing_cause
from orchestrator.runs.records import TrialState
from tests.engine.sweeps import toy_spec
from tests.engine.test_conductor import end, make_conductor, start, states


@pytest.mark.parametrize(
    "message",
    [
        "the process was ended by SIGKILL (the system may have run out of memory)",
        "train.py: was killed by SIGTERM after 3 s.",
        "train.py: ended with exit code 137, which means SIGKILL after 3 s.",
        "OSError: [Errno 28] No space left on device: 'checkpoint.pt'",
        "train.py: ended with exit code 1.\n    OSError: [Errno 122] Disk quota exceeded",
        "RuntimeError: DataLoader worker (pid 7) is killed by signal: Killed.",
        "RuntimeError: [enforce fail] PytorchStreamWriter failed writing file data/0",
    ],
)
def test_what_may_pass_runs_again(message: str) -> None:
    cause = passing_cause(message)
    assert cause is not None
    assert Retries(2).after(0, message) == f"{cause}; waits to run again (retry 1 of 2)"


@pytest.mark.parametrize(
    ("message", "most"),
    [
        ("train.py: was killed by SIGTERM after 3 s.", 2),
        ("train.py: ended with exit code 143, which means SIGTERM after 3 s.", 2),
        ("train.py: was stopped, because the trial's process got SIGTERM.", 2),
        ("the process was lost, as its forkserver has ended (exit code 255)", 2),
        ("the process was killed by SIGKILL", 0),
        ("OSError: [Errno 28] No space left on device: 'checkpoint.pt'", 0),
    ],
)
def test_without_retries_only_what_was_terminated_runs_again(message: str, most: int) -> None:
    counted = Retries(None)
    again = [counted.after(0, message) for _ in range(4)]
    assert [reason is not None for reason in again] == [True] * most + [False] * (4 - most)
    assert Retries(0).after(0, message) is None, "a file may forbid it"


@pytest.mark.parametrize(
    "message",
    [
        "ValueError: lr must be positive",
        "train.py: was killed by SIGSEGV (a crash inside native code) after 1 s.",
        "train.py: ended with exit code 2 after 1 s: unrecognized arguments: --lrr",
        "train.py: exceeded its timeout of 2 h after 2 h.",
        "RuntimeError: CUDA error: device-side assert triggered",
        "ModuleNotFoundError: No module named 'space'",
    ],
)
def test_what_fails_again_does_not(message: str) -> None:
    assert Retries(5).after(0, message) is None


def test_each_trial_has_its_own_count_and_rests_longer_each_time() -> None:
    clock = [0.0]
    counted = Retries(2, lambda: clock[0])
    full = "No space left on device"
    assert not counted.is_resting(0)
    assert counted.after(0, full) is not None
    assert counted.is_resting(0)
    assert not counted.is_resting(1)
    clock[0] += reruns.REST_S[0]
    assert not counted.is_resting(0)
    assert counted.after(0, full) is not None
    clock[0] += reruns.REST_S[0]
    assert counted.is_resting(0)
    assert counted.after(0, full) is None
    assert counted.after(1, full) is not None


@pytest.mark.parametrize(("most", "expected"), [(None, 2), (0, 0), (4, 4)])
def test_a_lost_worker_counts_too(most: int | None, expected: int) -> None:
    counted = Retries(most)
    again = [counted.after_loss(7)[1] for _ in range(6)]
    assert again.count(True) == expected


def test_a_full_disk_ends_no_trial_and_a_wrong_config_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reruns, "REST_S", (0.0,))
    spec = toy_spec(tmp_path, {"a": {"lr": 0.1}}, options={"retries": 1})
    conductor = make_conductor(tmp_path, spec, slots=1)
    start(conductor, "1")
    end(conductor, "1", ["failed", "OSError: [Errno 28] No space left on device"])
    state, reason = states(conductor)["a"]
    assert (state, reason and "retry 1 of 1" in reason) == (TrialState.WAITING, True)
    assert start(conductor, "2").attempt == 2
    end(conductor, "2", ["failed", "ValueError: lr must be positive"])
    assert states(conductor)["a"] == (TrialState.FAIL, "ValueError: lr must be positive")
    assert conductor.is_over


def test_a_trainer_has_a_timeout(tmp_path: Path) -> None:
    spec = toy_spec(tmp_path, {"a": {"lr": 0.1}}, options={"timeout": 1e-9})
    conductor = make_conductor(tmp_path, spec, slots=1)
    start(conductor, "1")
    conductor.tick()
    assert conductor.is_ending("1")
    conductor.on_gone("1")
    state, reason = states(conductor)["a"]
    assert state is TrialState.FAIL
    assert reason is not None
    assert reason.startswith("exceeded its timeout of ")
