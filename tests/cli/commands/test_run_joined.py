"""Several `sweep run --join` on one folder, as processes of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from orchestrator.files import jsonl
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialState, load_trials
from tests.cli.running import SWEEP, sweep_in
from tests.engine.sweeps import wait_until

SCRIPT = """\
import argparse, os, time
from pathlib import Path
options = argparse.ArgumentParser()
options.add_argument("--lr", type=float)
options.add_argument("--resume")
options = options.parse_args()
begun = int(Path(options.resume).read_text()) if options.resume else 0
with open("starts.txt", "a") as stream:
    stream.write(f"{options.lr:.6f} {begun}\\n")
for step in range(begun + 1, 6):
    print(f"step {step} val_loss {options.lr / step:.6f}", flush=True)
    Path(os.environ["SWEEP_RUN_DIR"], "state.txt").write_text(str(step))
    while options.lr > 0.5 and step == 3 and not Path("hurry").exists():
        time.sleep(0.05)
"""

FILE = """\
version: 1
name: many
program: train.py
resume: {checkpoint: state.txt, args: "--resume ${checkpoint}"}
metric: {name: val_loss, goal: minimize}
metrics: {pattern: 'step (?P<step>\\d+) val_loss (?P<val_loss>\\S+)'}
"""
GRID = FILE + "parameters: {lr: {values: [0.6, 0.1, 0.2, 0.3, 0.4, 0.5]}}\n"
BAYES = FILE + "method: bayes\nrun_cap: 6\nparameters: {lr: {min: 0.01, max: 0.5}}\n"


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "many.yaml").write_text(GRID)
    return tmp_path


class Team:
    """Drivers at one desk."""

    def __init__(self, desk: Path, where: str = "folder", **variables: str) -> None:
        self.desk, self.where, self.variables = desk, where, variables
        self.sweep = SweepDir(desk / "results" / "many")
        self.members: list[subprocess.Popen[str]] = []

    def join(self) -> subprocess.Popen[str]:
        arguments = [SWEEP, "run", "many.yaml", "--join", self.where, "--max-parallel", "1"]
        member = subprocess.Popen(
            [*arguments, "--inline"],
            cwd=self.desk,
            env={**os.environ, **self.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.members.append(member)
        return member

    def starts(self) -> Counter[str]:
        return Counter((self.desk / "starts.txt").read_text().splitlines())

    def tables(self) -> list[str]:
        """Return what each prints once the sweep is over."""
        printed = [member.communicate(timeout=100)[0] for member in self.members]
        assert [member.returncode for member in self.members] == [0] * len(printed), printed
        return [text[text.index("complete, ranked by") :] for text in printed]


def check_two_share(team: Team) -> None:
    team.join()
    team.join()
    own, other = team.tables()
    assert own == other
    assert team.starts().total() == 6 == len(team.starts())
    records = load_trials(team.sweep)
    assert [record.state for record in records] == [TrialState.COMPLETE] * 6
    events = jsonl.read(team.sweep.events_file)
    assert Counter(event["event"] for event in events)["trial_ended"] == 6


def check_one_is_killed(team: Team) -> None:
    first = team.join()
    state = team.sweep.run_dir(0, "lr=0.6").path / "state.txt"
    wait_until(lambda: state.exists() and state.read_text() == "3")
    team.join()
    wait_until(lambda: sum(r.state.is_finished for r in load_trials(team.sweep)) >= 1)
    first.kill()
    first.communicate()
    (team.desk / "hurry").touch()
    team.members.remove(first)
    (table,) = team.tables()
    assert table.startswith("complete, ranked by")
    assert team.starts() == Counter(
        ["0.600000 0", "0.600000 3", *(f"0.{tenth}00000 0" for tenth in range(1, 6))]
    )
    assert all(record.state is TrialState.COMPLETE for record in load_trials(team.sweep))
    assert load_trials(team.sweep)[0].attempt == 2


@pytest.mark.slow
def test_two_drivers_run_each_trial_once_and_print_one_table(desk: Path) -> None:
    (desk / "hurry").touch()
    check_two_share(Team(desk))


@pytest.mark.slow
def test_two_drivers_share_what_a_sampler_proposes(desk: Path) -> None:
    (desk / "many.yaml").write_text(BAYES)
    check_two_share(Team(desk))


@pytest.mark.slow
def test_the_trial_of_a_killed_driver_continues_at_the_other(desk: Path) -> None:
    check_one_is_killed(Team(desk))


@pytest.mark.slow
def test_who_does_not_join_is_refused_and_stop_ends_all(desk: Path) -> None:
    team = Team(desk)
    team.join()
    wait_until((desk / "starts.txt").exists)
    alone = sweep_in(desk, "run", "many.yaml")
    assert alone.returncode == 2
    assert "another process holds the sweep 'many'" in alone.stderr
    other = sweep_in(desk, "run", "many.yaml", "--join", "folder", "--count", "3")
    assert other.returncode == 2
    assert "cannot join with another spec" in other.stderr
    team.join()
    wait_until(lambda: sum(r.state.is_finished for r in load_trials(team.sweep)) >= 5)
    assert "RUNNING" in sweep_in(desk, "status", "many", "--json").stdout
    assert sweep_in(desk, "stop", "many").returncode == 0
    ended = [member.wait(timeout=60) for member in team.members]
    assert ended == [130, 130]
    (desk / "hurry").touch()
    continued = sweep_in(desk, "run", "many.yaml", "--inline")
    assert continued.returncode == 0
    assert team.starts()["0.600000 3"] == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--join", "folder", "--new"], "--join and --new are mutually exclusive"),
        (["--join", "folder", "--address", "auto"], "--join and --address are mutually exclusive"),
        (["--join", "folder", "--retry-failed"], "--join and --retry-failed are mutually exclu"),
        (["--join", "mysql://host/db"], "expected postgresql://USER@HOST/DATABASE"),
        (["--join", "postgresql://me:secret@host/db"], "a password in the URL is visible"),
    ],
)
def test_what_does_not_go_together_is_refused(desk: Path, options: list[str], words: str) -> None:
    done = sweep_in(desk, "run", "many.yaml", *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert "secret" not in done.stderr


def test_a_sweep_that_several_drivers_cannot_share_is_refused(desk: Path) -> None:
    (desk / "many.yaml").write_text(GRID + "budget: {hours: 2}\n")
    done = sweep_in(desk, "run", "many.yaml", "--join")
    assert done.returncode == 2
    assert "several drivers cannot share a sweep with budget.hours" in done.stderr


class Server:
    """A PostgreSQL server of one test, which needs a password."""

    def __init__(self, folder: Path, user: str | None) -> None:
        self._folder, self._user = folder, user
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._programs = programs()
        (folder / "password").write_text("a secret")
        self._run("initdb", "-U", "me", "--auth=scram-sha-256", "--pwfile", "password", "data")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://me@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self._folder} -c fsync=off"
        self._run("pg_ctl", "-D", "data", "-o", options, "-l", "log", "-w", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", "data", "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._folder,
            user=self._user,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )


def programs() -> Path:
    """Return the folder of PostgreSQL's programs; skip the test without them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    beside = shutil.which("initdb")
    if not found and beside is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return found[-1].parent if found else Path(str(beside)).parent


@pytest.fixture
def server() -> Iterator[Server]:
    pytest.importorskip("psycopg")
    programs()
    # The server refuses to run as root, and another user does not reach pytest's own folders.
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pg")))
        user = "nobody" if os.geteuid() == 0 else None
        if user is not None:
            shutil.chown(folder, user)
        made = Server(folder, user)
        stack.callback(made.stop)
        yield made


@pytest.mark.slow
def test_drivers_share_a_study_in_postgresql(desk: Path, server: Server) -> None:
    (desk / "many.yaml").write_text(BAYES)
    team = Team(desk, server.url, PGPASSWORD="a secret")
    check_two_share(team)
    assert not team.sweep.study_file.exists()
    written = [path for path in (desk / "results").rglob("*") if path.is_file()]
    assert not any(b"a secret" in path.read_bytes() for path in written)


@pytest.mark.slow
def test_a_driver_is_killed_while_the_study_is_in_postgresql(desk: Path, server: Server) -> None:
    check_one_is_killed(Team(desk, server.url, PGPASSWORD="a secret"))


@pytest.mark.slow
def test_drivers_end_with_a_message_when_the_database_does(desk: Path, server: Server) -> None:
    team = Team(desk, server.url, PGPASSWORD="a secret")
    member = team.join()
    wait_until((desk / "starts.txt").exists)
    server.stop()
    printed = member.communicate(timeout=60)[0]
    server.start()
    assert member.returncode == 1
    assert "the connection is lost" in printed
    assert "Traceback" not in printed, printed
    (desk / "hurry").touch()
    team.members.clear()
    team.join()
    assert len(team.tables()) == 1


@pytest.mark.slow
def test_a_wrong_password_is_a_message(desk: Path, server: Server) -> None:
    team = Team(desk, server.url, PGPASSWORD="wrong")
    printed = team.join().communicate(timeout=60)[0]
    assert "password authentication failed" in printed
    assert "~/.pgpass or PGPASSWORD" in printed
    assert "Traceback" not in printed
