"""The journal against a driver that is killed at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.errors import SweepError
from orchestrator.search.journal import KernelLock, mend
from orchestrator.sweepfile.model.spec import Domain
from tests.search.conftest import Opener

SPACE = {"lr": Domain("uniform", low=0.0, high=1.0)}

DRIVER = """
import sys
from pathlib import Path
from orchestrator.sweepfile.model.spec import Domain
from tests.search.conftest import study_at

space = {"lr": Domain("uniform", low=0.0, high=1.0)}
study = study_at(Path(sys.argv[1]), method="bayes", pruner="median")
while True:
    proposal = study.ask(space)
    print(proposal.number, flush=True)
    for step in range(5):
        study.report(proposal.number, step, proposal.params["lr"])
        study.should_prune(proposal.number)
    study.tell(proposal.number, "COMPLETE", proposal.params["lr"])
"""


def test_a_sweep_goes_on_at_once_after_its_driver_was_killed(
    open_study: Opener, tmp_path: Path
) -> None:
    path = tmp_path / "study.journal"
    last = -1
    for enough in (5, 9, 14):
        driver = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert driver.stdout is not None
        for line in driver.stdout:
            assert int(line) == last + 1  # numbers go on, none is given twice
            last = int(line)
            if last >= enough:
                break
        os.kill(driver.pid, signal.SIGKILL)
        for line in driver.stdout:
            last = int(line)
        driver.wait()
        driver.stdout.close()
        study = open_study(method="bayes", pruner="median")
        states = study.states()
        last = max(states)
        stale = study.close_stale()
        assert stale == [number for number, state in states.items() if state == "RUNNING"]
        assert len(stale) <= 1
    assert set(study.states().values()) <= {"COMPLETE", "FAIL"}
    proposal = study.ask(SPACE)
    assert study.tell(proposal.number, "COMPLETE", 0.5) == "COMPLETE"


def test_a_driver_that_is_killed_inside_the_lock_leaves_it_free(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from orchestrator.search.journal import KernelLock\n"
        "lock = KernelLock(Path(sys.argv[1]))\n"
        "lock.acquire()\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    holder.stdout.close()
    started = time.monotonic()
    lock = KernelLock(path)
    assert lock.acquire()
    lock.release()
    # Optuna's own lock would be broken by force after 30 s; ours is free.
    assert time.monotonic() - started < 25


@pytest.mark.slow
def test_a_journal_torn_at_any_byte_can_be_continued(open_study: Opener, tmp_path: Path) -> None:
    study = open_study()
    for index in range(3):
        number = study.ask(SPACE, {"lr": 0.1 * index}).number
        study.report(number, 1, 0.5)
        study.tell(number, "COMPLETE", 0.5)
    path = tmp_path / "study.journal"
    content = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(content) if byte == ord("\n")]
    for length in [*range(len(content) - 160, len(content) + 1), *ends, 0, 1, 40]:
        path.write_bytes(content[:length])
        again = open_study()
        before = len(again.states())
        again.close_stale()
        number = again.ask(SPACE, {"lr": 0.9}).number
        assert number == before
        again.tell(number, "COMPLETE", 0.4)
        assert open_study().states()[number] == "COMPLETE"


@pytest.mark.parametrize("tail", [b'{"op_code":5,', b"\x00" * 64, b"\x00" * 64 + b"\n", b"7\n"])
def test_mend_cuts_the_torn_end_only(open_study: Opener, tmp_path: Path, tail: bytes) -> None:
    open_study().ask(SPACE, {"lr": 0.5})
    path = tmp_path / "study.journal"
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert mend(path) == len(tail)
    assert path.read_bytes() == whole
    assert mend(path) == 0
    assert not path.with_name("study.journal.damaged").exists()


def test_a_journal_damaged_in_the_middle_is_kept_aside(open_study: Opener, tmp_path: Path) -> None:
    study = open_study()
    for _ in range(3):
        study.tell(study.ask(SPACE, {"lr": 0.5}).number, "COMPLETE", 0.5)
    path = tmp_path / "study.journal"
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*lines[:6], b"\x00\x00\n", *lines[7:]])
    path.write_bytes(damaged)
    assert open_study().states()
    assert path.read_bytes().startswith(b"".join(lines[:6]))
    assert b"\x00" not in path.read_bytes()
    assert path.with_name("study.journal.damaged").read_bytes() == damaged


def test_a_file_of_something_else_is_refused_in_words(open_study: Opener, tmp_path: Path) -> None:
    (tmp_path / "study.journal").write_text('{"not": "a journal"}\n')
    with pytest.raises(SweepError, match="not a readable Optuna journal"):
        open_study()
