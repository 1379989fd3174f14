"""Leases between processes that live, die, are forked, and belong to other users."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from orchestrator.placement.leases.lease_files import Claim, pack_claim, parse_claim
from orchestrator.placement.leases.leases import Lease, Leases
from orchestrator.placement.model import Device

GIB = 1 << 30
CARD = "GPU-1"
NOBODY = 65534

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "leases"


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start a process that runs `code` with `leases` at hand, and ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def call(code: str, **how: object) -> subprocess.Popen[str]:
        head = "import os, sys\nfrom pathlib import Path\n"
        head += "from orchestrator.placement.leases.leases import Leases\n"
        head += f"leases = Leases(Path({str(folder)!r}))\n"
        process = subprocess.Popen(
            [sys.executable, "-c", head + textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **how,  # type: ignore[call-overload]
        )
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


HOLD = f"""
lease = leases.claim("{CARD}", 8 << 30)
print("held", flush=True)
sys.stdin.readline()
lease.used(3 << 30)
print("used", flush=True)
sys.stdin.readline()
"""


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_another_process_counts_what_does_not_show_yet(folder: Path, start: Start) -> None:
    leases = Leases(folder)
    assert leases.pending().get(CARD, 0) == 0
    holder = start(HOLD)
    assert line(holder) == "held"
    assert leases.pending().get(CARD, 0) == 8 * GIB
    assert leases.pending().get("GPU-2", 0) == 0
    go_on(holder)
    assert line(holder) == "used"
    assert leases.pending().get(CARD, 0) == 5 * GIB
    (claim,) = leases.claims()
    assert claim.pid == holder.pid
    go_on(holder)
    assert holder.wait(10) == 0
    assert leases.pending().get(CARD, 0) == 0


def test_a_killed_process_claims_nothing_and_leaves_nothing(folder: Path, start: Start) -> None:
    holder = start(HOLD)
    assert line(holder) == "held"
    leases = Leases(folder)
    assert leases.pending().get(CARD, 0) == 8 * GIB
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)
    assert leases.pending().get(CARD, 0) == 0
    assert list(folder.iterdir()) == []


def test_a_stopped_process_still_claims(folder: Path, start: Start) -> None:
    holder = start(HOLD)
    assert line(holder) == "held"
    holder.send_signal(signal.SIGSTOP)
    assert Leases(folder).pending().get(CARD, 0) == 8 * GIB


def test_a_forked_child_does_not_keep_its_parents_lease(folder: Path, start: Start) -> None:
    holder = start(
        f"""
        lease = leases.claim("{CARD}", 8 << 30)
        if os.fork() == 0:
            lease.release()                        # not its to give back
            print(leases.pending().get("{CARD}", 0) >> 30, flush=True)
            sys.stdin.readline()                   # lives on when its parent is dead
            os._exit(0)
        os.wait()
        """
    )
    assert line(holder) == "8"
    leases = Leases(folder)
    assert leases.pending().get(CARD, 0) == 8 * GIB
    holder.kill()
    holder.wait(10)
    assert leases.pending().get(CARD, 0) == 0
    go_on(holder)


def test_a_child_by_exec_does_not_keep_it_either(folder: Path, start: Start) -> None:
    holder = start(
        f"""
        import subprocess
        lease = leases.claim("{CARD}", 8 << 30)
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
        print(child.pid, flush=True)
        child.wait()
        """
    )
    child = int(line(holder))
    try:
        assert Leases(folder).pending().get(CARD, 0) == 8 * GIB
        holder.kill()
        holder.wait(10)
        assert Leases(folder).pending().get(CARD, 0) == 0
    finally:
        os.kill(child, signal.SIGKILL)


def test_own_claims_are_not_those_of_others(folder: Path) -> None:
    leases, second = Leases(folder), Leases(folder)
    with leases.claim(CARD, GIB):
        assert leases.pending().get(CARD, 0) == 0
        assert second.pending().get(CARD, 0) == GIB
    assert second.pending().get(CARD, 0) == 0
    leases.claim(CARD, GIB)
    leases.claim("GPU-2", GIB)
    leases.release()
    assert second.claims() == []
    assert list(folder.iterdir()) == []


def test_what_remains_of_devices(folder: Path) -> None:
    devices = [Device("0", "", 24 * GIB, 20 * GIB, uuid=CARD), Device("1", "", GIB, GIB)]
    leases = Leases(folder)
    assert leases.remaining(devices) == devices
    assert not folder.exists()  # who only asks leaves nothing
    other = Leases(folder)
    other.claim(CARD, 5 * GIB).used(2 * GIB)
    other.claim(CARD, 6 * GIB)
    other.claim("1", 9 * GIB)
    leases.claim(CARD, GIB)
    assert [device.free_bytes for device in leases.remaining(devices)] == [11 * GIB, 0]
    assert leases.problem == ""
    leases.release()
    other.release()


def test_released_twice_and_used_after_it(folder: Path) -> None:
    lease = Leases(folder).claim(CARD, GIB)
    lease.release()
    lease.release()
    lease.used(5)
    assert list(folder.iterdir()) == []


def test_a_file_that_was_cleared_away_comes_back(folder: Path) -> None:
    lease = Leases(folder).claim(CARD, GIB)
    other = Leases(folder)
    (file,) = folder.iterdir()
    file.unlink()
    assert other.pending().get(CARD, 0) == 0
    lease.used(0)
    assert other.pending().get(CARD, 0) == GIB
    (file,) = folder.iterdir()
    file.unlink()
    folder.rmdir()
    lease.used(1)
    assert other.pending().get(CARD, 0) == GIB - 1
    lease.release()
    assert list(folder.iterdir()) == []


def test_the_folder_is_for_all_whatever_the_mask(folder: Path) -> None:
    before = os.umask(0o077)
    try:
        lease = Leases(folder).claim(CARD, GIB)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o7777 == 0o1777
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o644
    lease.release()


def test_a_folder_of_the_users_own_keeps_its_mode(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    lease = Leases(folder).claim(CARD, GIB)
    assert folder.stat().st_mode & 0o7777 == 0o700
    lease.release()


def test_the_folder_may_be_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEP_LEASES", str(folder))
    assert Leases().folder == folder
    monkeypatch.delenv("SWEEP_LEASES")
    assert Leases().folder == Path("/tmp/sweep-leases")


def make_link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize(
    "spoil", [make_link, Path.touch, lambda folder: folder.parent.rmdir()], ids=["link", "file", ""]
)
def test_a_folder_that_cannot_be_used_stops_nobody(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    folder = tmp_path / "parent" / "leases"
    folder.parent.mkdir()
    spoil(folder)
    leases = Leases(folder)
    with leases.deciding() as alone:
        assert not alone
    assert leases.pending().get(CARD, 0) == 0
    lease = leases.claim(CARD, GIB)
    assert str(folder) in leases.problem
    assert "SWEEP_LEASES" in leases.problem
    lease.used(5)
    lease.release()
    if folder.is_symlink():
        assert list(folder.resolve().iterdir()) == []
        folder.unlink()
        again = leases.claim(CARD, GIB)
        assert leases.problem == ""
        again.release()


def test_what_others_left_there_is_not_followed_or_believed(folder: Path) -> None:
    folder.mkdir()
    secret = folder.parent / "secret"
    secret.write_bytes(pack_claim(Claim(CARD, GIB, 0, 1)))
    (folder / "link.lease").symlink_to(secret)
    os.mkfifo(folder / "pipe.lease")
    (folder / "folder.lease").mkdir()
    (folder / "note.txt").touch()
    held = os.open(folder / "garbage.lease", os.O_CREAT | os.O_RDWR)
    os.write(held, b"\xff" * 9000)
    import fcntl

    fcntl.flock(held, fcntl.LOCK_EX)
    assert Leases(folder).claims() == []
    os.close(held)
    assert Leases(folder).claims() == []
    assert sorted(path.name for path in folder.iterdir()) == [
        "folder.lease",
        "link.lease",
        "note.txt",
        "pipe.lease",
    ]
    assert secret.exists()


def test_a_half_made_file_is_cleared_away_once_it_is_old(folder: Path) -> None:
    folder.mkdir()
    fresh, old = folder / ".a.tmp", folder / ".b.tmp"
    fresh.touch()
    old.touch()
    os.utime(old, (time.time() - 3600,) * 2)
    assert Leases(folder).claims() == []
    assert [path.name for path in folder.iterdir()] == [".a.tmp"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be another user")
def test_other_users_share_it(folder: Path, start: Start) -> None:
    for parent in folder.parents:
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            os.chmod(parent, parent.stat().st_mode | 0o755)
    mine = Leases(folder).claim(CARD, GIB)
    other = start(
        f"""
        os.setuid({NOBODY})
        print(leases.pending().get("{CARD}", 0), flush=True)
        lease = leases.claim("{CARD}", 8 << 30)
        print(leases.problem, flush=True)
        sys.stdin.readline()
        """
    )
    assert line(other) == str(GIB)
    assert line(other) == ""
    leases = Leases(folder)
    claims = {claim.pid: claim.memory_bytes for claim in leases.claims()}
    assert claims == {os.getpid(): GIB, other.pid: 8 * GIB}
    other.kill()
    other.wait(10)
    assert leases.pending().get(CARD, 0) == GIB
    mine.release()


def test_a_dead_lease_that_one_may_not_remove_counts_for_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    (folder / "dead.lease").write_bytes(pack_claim(Claim(CARD, GIB, 0, 1)))

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "unlink", refuse)
    assert Leases(folder).pending().get(CARD, 0) == 0
    assert (folder / "dead.lease").exists()


RACE = f"""
import time
card = Path(sys.argv[1])                 # what the device shows as used, in GiB
for _ in range(6):
    with leases.deciding() as alone:
        assert alone
        free = 20 - int(card.read_text()) - (leases.pending().get("{CARD}", 0) >> 30)
        time.sleep(0.002)                # room for others to slip in
        lease = leases.claim("{CARD}", 8 << 30) if free >= 8 else None
    if lease:
        print("+8", flush=True)
        time.sleep(0.01)
        print("-8", flush=True)
        lease.release()
"""


def test_sweeps_that_decide_at_once_do_not_count_the_same_memory(
    folder: Path, tmp_path: Path
) -> None:
    card, log = tmp_path / "card", tmp_path / "log"
    card.write_text("4")
    head = "import sys\nfrom pathlib import Path\n"
    head += "from orchestrator.placement.leases.leases import Leases\n"
    head += f"leases = Leases(Path({str(folder)!r}))"
    with log.open("a") as out:
        racers = [
            subprocess.Popen([sys.executable, "-c", head + RACE, str(card)], stdout=out)
            for _ in range(3)
        ]
        assert [racer.wait(60) for racer in racers] == [0, 0, 0]
    held, highest = 0, 0
    for change in log.read_text().split():
        held += int(change)
        highest = max(highest, held)
    assert highest in (8, 16)  # 16 of 20 - 4 GiB, never a third
    assert held == 0


def test_one_who_is_stopped_while_deciding_does_not_stop_all(folder: Path, start: Start) -> None:
    holder = start("with leases.deciding():\n    print('in', flush=True)\n    sys.stdin.readline()")
    assert line(holder) == "in"
    leases = Leases(folder)
    with leases.deciding(timeout_s=0.05) as alone:
        assert not alone
        leases.claim(CARD, GIB).release()
    holder.kill()
    holder.wait(10)
    with leases.deciding() as alone:
        assert alone


sizes = st.integers(0, 1 << 50)


@given(sizes, sizes, st.integers(0, 1 << 22), st.sampled_from(["0", "cpu", "GPU-" + "a" * 36]))
def test_a_claim_comes_back_from_its_file(memory: int, used: int, pid: int, device: str) -> None:
    claim = Claim(device, memory, used, pid)
    assert parse_claim(pack_claim(claim)) == claim
    assert len(pack_claim(claim)) == len(pack_claim(Claim(CARD, 0, 0, 0)))


@given(st.binary(max_size=600), sizes, st.integers(0, 520))
def test_a_torn_claim_is_none(noise: bytes, size: int, at: int) -> None:
    whole = pack_claim(Claim(CARD, size, 0, 1))
    assert parse_claim(noise) is None
    torn = whole[:at] + pack_claim(Claim(CARD, size + 1, 5, 123456))[at:]
    found = parse_claim(torn)
    assert found is None or found.memory_bytes in (size, size + 1)


@pytest.mark.parametrize(
    "claim",
    [Claim(CARD, -1, 0, 1), Claim("", 1, 0, 1), Claim("x" * 200, 1, 0, 1), Claim("ü", 1, 0, 1)],
)
def test_a_senseless_claim_is_refused(claim: Claim, folder: Path) -> None:
    with pytest.raises(ValueError, match="must be"):
        pack_claim(claim)
    with pytest.raises(ValueError, match="must be"):
        Leases(folder).claim(claim.device, claim.memory_bytes)
    assert not folder.exists()


class Sweeps(RuleBasedStateMachine):
    """Two sweeps that claim, use, release and lose files in any order."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.place = tempfile.TemporaryDirectory()
        folder = Path(self.place.name) / "leases"
        self.sweeps = [Leases(folder), Leases(folder)]
        self.held: list[tuple[int, Lease, int]] = []

    @rule(who=st.integers(0, 1), device=st.sampled_from("ab"), size=st.integers(0, 9))
    def claim(self, who: int, device: str, size: int) -> None:
        self.held.append((who, self.sweeps[who].claim(device, size), 0))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), used=st.integers(-2, 12))
    def use(self, data: st.DataObject, used: int) -> None:
        place = data.draw(st.integers(0, len(self.held) - 1))
        who, lease, _ = self.held[place]
        lease.used(used)
        self.held[place] = (who, lease, used)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.held) - 1))
        self.held.pop(place)[1].release()

    @invariant()
    def each_sees_what_the_other_still_takes(self) -> None:
        for who in (0, 1):
            for device in "ab":
                expected = sum(
                    max(0, lease.memory_bytes - max(0, used))
                    for owner, lease, used in self.held
                    if owner != who and lease.device == device
                )
                assert self.sweeps[who].pending().get(device, 0) == expected

    def teardown(self) -> None:
        for sweep in self.sweeps:
            sweep.release()
        assert list(self.sweeps[0].folder.glob("*")) == []
        self.place.cleanup()


Sweeps.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestSweeps = Sweeps.TestCase
