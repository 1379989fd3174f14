from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, strategies as st

from orchestrator.placement.hardware.neighbours import (
    DRIVER_KEEPS_BYTES,
    Ours,
    family,
    members,
    pids_comparable,
    who_computes,
)
from orchestrator.placement.model import Device, Host, Process

GIB = 1 << 30


def card(*processes: Process, used: int = 0, busy: int | None = 0, told: bool = True) -> Device:
    return Device(
        "0",
        "RTX",
        24 * GIB,
        24 * GIB - used,
        processes=processes if told else None,
        utilisation=busy,
    )


OTHER = Process(9, 3 * GIB)
DESKTOP = Process(8, GIB, computes=False)
MINE = Process(5, 4 * GIB)
OURS = Ours(frozenset({1, 5}), 4 * GIB, 1)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (card(), ""),
        (card(DESKTOP, used=GIB, busy=40), ""),
        (card(MINE, used=4 * GIB, busy=99), ""),
        (card(MINE, OTHER, used=7 * GIB), "process 9 (3.0 GiB) on GPU 0 (RTX)"),
        (card(OTHER, Process(11), busy=0), "process 9 (3.0 GiB) and 1 more on GPU 0 (RTX)"),
        (card(Process(11, None)), "process 11 on GPU 0 (RTX)"),
    ],
)
def test_comparable_processes(device: Device, words: str) -> None:
    assert who_computes(device, OURS, comparable=True) == words


@pytest.mark.parametrize(
    ("device", "ours", "words"),
    [
        (card(), Ours(), ""),
        (card(told=False, busy=None), Ours(), ""),
        (card(told=False, used=DRIVER_KEEPS_BYTES), Ours(), ""),
        (card(told=False, busy=1), Ours(), "is busy (1 %)"),
        (card(told=False, busy=90, used=4 * GIB), OURS, ""),
        (card(told=False, used=7 * GIB), OURS, "3.0 GiB of GPU 0 (RTX) are in use"),
        # In a container our own process has another number.
        (card(Process(70005, 4 * GIB), used=4 * GIB, busy=50), OURS, ""),
        (card(Process(70005), OTHER, used=4 * GIB), OURS, "2 processes on GPU 0 (RTX), of which 1"),
        (card(DESKTOP), Ours(), ""),
        (card(OTHER), Ours(), "1 process on GPU 0 (RTX), of which 0 can be ours"),
        # The driver shows a container its own processes only.
        (card(used=9 * GIB), Ours(), "9.0 GiB of GPU 0 (RTX) are in use and not by this sweep"),
    ],
)
def test_processes_that_are_not_comparable(device: Device, ours: Ours, words: str) -> None:
    found = who_computes(device, ours, comparable=False)
    assert words in found
    assert bool(found) == bool(words)
    if device.processes is None:
        assert who_computes(device, ours, comparable=True) == found


def test_an_empty_large_card_is_free() -> None:
    large = Device("0", "H200", 140 * GIB, 139 * GIB, utilisation=0)
    assert who_computes(large, Ours(), comparable=False) == ""


def test_the_host_is_no_card() -> None:
    assert who_computes(Host(4, GIB, 64 * GIB).device(), Ours(), comparable=True) == ""


@given(
    st.lists(st.builds(Process, st.integers(1, 9), st.integers(0, GIB), st.booleans()), max_size=4),
    st.integers(0, 24 * GIB),
    st.integers(0, 100),
    st.booleans(),
    st.integers(0, 3),
    st.integers(0, 20 * GIB),
)
def test_one_more_neighbour_is_never_fewer(
    held: list[Process], used: int, busy: int, comparable: bool, trials: int, ours_bytes: int
) -> None:
    ours = Ours(frozenset({1, 2, 3}), ours_bytes, trials)
    device = card(*held, used=used, busy=busy)
    if who_computes(device, ours, comparable=comparable):
        more = card(*held, Process(99, GIB), used=min(24 * GIB, used + GIB), busy=100)
        assert who_computes(more, ours, comparable=comparable)
    if comparable:
        assert who_computes(card(*held, Process(99)), ours, comparable=True)


def test_a_familys_processes_are_found() -> None:
    code = (
        "import os, subprocess, sys\n"
        "if sys.platform == 'linux':\n"
        "    open('/proc/self/comm', 'w').write('a) b (c 7')\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.readline()\n"
        "child.kill()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert {os.getpid(), parent.pid, child} <= family([os.getpid()])
    assert family([parent.pid]) == members(parent.pid) == {parent.pid, child}
    assert os.getppid() not in family([os.getpid()])
    parent.communicate("\n")


def test_a_family_of_a_process_that_has_ended() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert family([gone.pid]) == members(gone.pid) == {gone.pid}
    assert family([]) == frozenset()


def test_a_family_among_processes_that_the_system_hides(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a /proc mounted with hidepid=1, which shows other users' processes without details."""
    child = subprocess.Popen(["sleep", "60"])
    platform = psutil._psplatform.Process
    real = platform.ppid

    def ppid(process: Any) -> int:
        if process.pid not in (os.getpid(), child.pid):
            raise psutil.AccessDenied(process.pid)
        return int(real(process))

    monkeypatch.setattr(platform, "ppid", ppid)
    try:
        assert child.pid in family([os.getpid()])
    finally:
        child.kill()
        child.wait()


def test_whether_ids_can_be_compared(tmp_path: Path) -> None:
    place = tmp_path / "proc" / "self" / "ns"
    place.mkdir(parents=True)
    if sys.platform == "linux":
        assert not pids_comparable(tmp_path)
    (place / "pid").symlink_to("pid:[4026531836]")
    assert pids_comparable(tmp_path)
    (place / "pid").unlink()
    (place / "pid").symlink_to("pid:[4026532198]")
    assert pids_comparable(tmp_path) == (sys.platform != "linux")
