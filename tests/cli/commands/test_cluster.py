"""`sweep cluster slurm`: shellcheck and sbatch check the script; it runs with stand-ins."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from orchestrator.runs import SweepDir, TrialState, load_trials, read_reports
from tests.cli.running import sweep
from tests.engine.sweeps import wait_until

ROOT = Path(__file__).parents[3]
Start = Callable[[], subprocess.Popen[str]]

FILE = """\
version: 1
name: mine
program: train.py
parameters:
  lr: {values: [1, 2]}
"""

# What a node has and this machine lacks. `srun` runs its command here; the address 0.0.0.0, which
# only a client can use, reaches this machine; `sweep run` ends with `code`, or waits for SIGTERM.
STAND_INS = {
    "srun": 'while [ "${1#-}" != "$1" ]; do shift; done; echo "$*" >> srun.log; exec "$@"',
    "scontrol": 'if [ "$1" = show ]; then printf "n1\\nn2\\n"; else echo "$*" >> requeued; fi',
    "hostname": "echo '::1 127.0.1.1 0.0.0.0 10.0.0.7 '",
    "ray": """\
echo "$RAY_AUTH_MODE $RAY_AUTH_TOKEN" >> tokens
[ ! -e code ] || [ "$(cat code)" != broken ] || exit 1
exec python3 -c '
import socket, sys, time
for port in [word[7:] for word in sys.argv if word.startswith("--port=")]:
    listening = socket.create_server(("127.0.0.1", int(port)))
time.sleep(60)
' "$@"
""",
    "sweep": """\
echo "$RAY_AUTH_MODE $RAY_AUTH_TOKEN" >> tokens
trap 'echo stopped > ended; exit 130' TERM
echo "$*" > arguments
[ ! -e code ] || exit "$(cat code)"
while :; do sleep 0.05; done
""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "sweep.yaml").write_text(FILE)
    (tmp_path / "train.py").write_text("import sys\nprint(sys.argv)\n")
    with chdir(tmp_path):
        yield tmp_path


@pytest.fixture
def script(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Path]:
    def write(*options: str) -> Path:
        assert sweep("cluster", "slurm", "sweep.yaml", *options) == 0
        (folder / "job.sh").write_text(capsys.readouterr().out)
        return folder / "job.sh"

    return write


@pytest.fixture
def start(folder: Path, script: Callable[..., Path]) -> Iterator[Start]:
    """Starts jobs that run the script with stand-ins for Slurm, Ray and the sweep."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    for name, text in STAND_INS.items():
        (bin_folder / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (bin_folder / name).chmod(0o755)
    (bin_folder / "ray.py").write_text(
        "def init(*given, **options): pass\ndef nodes(): return [{'Alive': True}] * 2\n"
    )
    setup = f'export PATH="{bin_folder}:$PATH" PYTHONPATH="{bin_folder}"'
    path = script("--nodes", "2", "--setup", setup, "--", "--max-parallel", "3")
    environment = os.environ | {
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "n[1-2]",
    }
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["bash", path],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def job(start: Start) -> subprocess.Popen[str]:
    return start()


def ended(job: subprocess.Popen[str]) -> int:
    job.wait(timeout=20)
    return job.returncode


@pytest.mark.parametrize("code", [0, 3, 130])
def test_the_job_runs_the_sweep_on_ray_with_a_token_and_ends_with_its_code(
    folder: Path, job: subprocess.Popen[str], code: int
) -> None:
    (folder / "code").write_text(str(code))
    assert ended(job) == code
    address = f"0.0.0.0:{20000 + os.getpid() % 10000}"
    run = f"run {folder}/sweep.yaml --max-parallel 3 --address {address}\n"
    assert (folder / "arguments").read_text() == run
    tokens = (folder / "tokens").read_text().splitlines()
    assert len(tokens) == 3
    assert len(set(tokens)) == 1
    assert tokens[0].startswith("token ")
    assert len(tokens[0]) > 64
    started = (folder / "srun.log").read_text()
    assert "ray start --head --node-ip-address=0.0.0.0" in started
    assert f"ray start --address={address} --block" in started
    assert not (folder / "requeued").exists()


@pytest.mark.parametrize("sent", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_stops_the_sweep_in_order_and_only_the_time_limit_queues_the_job_again(
    folder: Path, job: subprocess.Popen[str], sent: signal.Signals
) -> None:
    wait_until((folder / "arguments").exists, 20)
    job.send_signal(sent)
    assert ended(job) == 130
    assert (folder / "ended").read_text() == "stopped\n"
    assert (folder / "requeued").exists() == (sent == signal.SIGUSR1)


def test_the_job_fails_if_ray_does_not_start(folder: Path, job: subprocess.Popen[str]) -> None:
    (folder / "code").write_text("broken")
    assert ended(job) == 1
    assert job.stderr is not None
    assert "Ray did not start on n1." in job.stderr.read()
    assert not (folder / "arguments").exists()


ALL = ["--nodes", "2", "--gpus-per-node", "a100:4", "--cpus-per-node", "8", "--time", "1h 30m"]
ALL += ["--partition", "gpu", "--account", "lab", "--sbatch=--qos=high", "--setup", "module load x"]


def test_options_become_those_of_sbatch_and_the_further_ones_come_last(
    script: Callable[..., Path],
) -> None:
    lines = script(*ALL).read_text().splitlines()
    options = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")]
    assert options[0] == "--job-name=sweep-mine"
    wanted = {"--nodes=2", "--gpus-per-node=a100:4", "--cpus-per-task=8", "--time=0-01:30:00"}
    assert wanted | {"--partition=gpu", "--account=lab", "--requeue"} <= set(options)
    assert options[-1] == "--qos=high"
    assert "--exclusive" not in options
    assert "module load x" in lines
    assert "#SBATCH --exclusive" in script().read_text()
    assert f"export PATH={Path(sys.executable).parent}:" in script().read_text()
    assert "--time=2-00:00:00" in script("--time", "2-00:00:00").read_text()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("options", [[], ALL])
def test_shellcheck_finds_nothing(script: Callable[..., Path], options: list[str]) -> None:
    checked = subprocess.run(
        ["shellcheck", script(*options)], check=False, capture_output=True, text=True
    )
    assert checked.stdout == ""
    assert checked.returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--", "--new"], "--new: a job that is queued again would start another sweep"),
        (["--", "--detach"], "--detach: the job would end at once"),
        (["--", "--nwe"], "No such option '--nwe'"),
        (["--", "--stage", "full"], "--stage: "),
        (["--partition", "a\nb"], "--partition: 'a\\nb' is no value"),
        (["--time", "soon"], "--time: expected a duration"),
        (["--sbatch", "--x\nrm -rf ."], "--sbatch: "),
    ],
)
def test_what_would_fail_in_the_job_is_refused_before(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert sweep("cluster", "slurm", "sweep.yaml", *options) == 2
    assert message in capsys.readouterr().err


# A real Slurm ------------------------------------------------------------------------------------

SLURM = """\
ClusterName=t
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={port}
StateSaveLocation={folder}
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=8 Gres=gpu:a100:4
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=8 Gres=gpu:a100:4
PartitionName=gpu Nodes=ALL Default=YES
SlurmdParameters=config_overrides
"""


@pytest.fixture
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Slurm of two nodes, both on this machine; its configuration file."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    daemons = {name: shutil.which(name, path=path) for name in ("munged", "slurmctld", "slurmd")}
    if None in (shutil.which("sbatch"), *daemons.values()):
        pytest.skip("Slurm is not installed (Debian: munge, slurm-client, slurmctld and slurmd)")
    if os.geteuid() != 0:
        pytest.skip("only root may start Slurm's daemons")
    folder = tmp_path_factory.mktemp("slurm")
    folder.chmod(0o755)
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o600)
    (folder / "gres.conf").write_text(f"Name=gpu Type=a100 File={folder}/gpu[0-3]\n")
    for number in range(4):
        (folder / f"gpu{number}").touch()
    config = folder / "slurm.conf"
    port = 20000 + 3 * (os.getpid() % 3000)
    ports = {"port": port, "first": port + 1, "second": port + 2}
    config.write_text(SLURM.format(host=os.uname().nodename, folder=folder, **ports))
    files = [f"--{name}-file={folder}/{name}" for name in ("key", "pid", "log", "seed")]
    commands = [["munged", "-F", "--force", f"--socket={folder}/munge.socket", *files]]
    commands += [["slurmctld", "-D", "-f", str(config)]]
    commands += [["slurmd", "-D", "-f", str(config), "-N", name] for name in ("n1", "n2")]
    started = []
    with (folder / "output").open("wb") as output:
        try:
            for name, *options in commands:
                started.append(
                    subprocess.Popen([str(daemons[name]), *options], stdout=output, stderr=output)
                )
                wait_until((folder / "munge.socket").exists, 10)
            yield config
        finally:
            for daemon in reversed(started):
                daemon.terminate()
                daemon.wait(timeout=20)


@pytest.mark.slow
def test_sbatch_accepts_the_script(script: Callable[..., Path], slurm: Path) -> None:
    for options in (["--nodes", "2"], ALL[:-5]):
        for _ in range(100):  # the nodes take a second to register
            checked = subprocess.run(
                ["sbatch", "--test-only", script(*options)],
                env=os.environ | {"SLURM_CONF": str(slurm)},
                check=False,
                capture_output=True,
                text=True,
            )
            if checked.returncode == 0:
                break
            time.sleep(0.1)
        assert "to start at" in checked.stderr
        assert "on nodes n[1-2] in partition gpu" in checked.stderr


TRAIN = """
import os, time
from pathlib import Path
state = Path(os.environ["SWEEP_RUN_DIR"], "state.pt")
first = int(state.read_text()) if state.exists() else 0
for step in range(first + 1, 61):
    print(f"step {step} loss {1 / step}", flush=True)
    state.with_suffix(".new").write_text(str(step))
    state.with_suffix(".new").replace(state)
    time.sleep(0.2)
"""


@pytest.mark.slow
@pytest.mark.ray
def test_a_preempted_job_continues_its_sweep(
    folder: Path, script: Callable[..., Path], slurm: Path
) -> None:
    (folder / "train.py").write_text(TRAIN)
    resume = "resume: {args: '--from ${checkpoint}', checkpoint: '*.pt'}"
    (folder / "sweep.yaml").write_text(f"{FILE}{resume}\nmetric: loss\nunused: true\n")
    setup = f"export PATH={Path(sys.executable).parent}:$PATH PYTHONPATH={ROOT}"
    job_file = script("--cpus-per-node", "2", "--setup", setup)

    def slurms(*words: str | Path) -> str:
        environment = os.environ | {"SLURM_CONF": str(slurm)}
        done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    wait_until(lambda: "idle" in slurms("sinfo", "--noheader", "--format=%t"), 20)
    job = slurms("sbatch", "--parsable", job_file)
    trials = SweepDir(folder / "results" / "mine")

    def states() -> set[TrialState]:
        return {record.state for record in load_trials(trials)}

    def reports() -> list[list[int]]:
        runs = [trials.run_dir(record.number, record.name) for record in load_trials(trials)]
        return [[step for step, _ in read_reports(run)] for run in runs]

    try:
        wait_until(lambda: any(len(steps) > 10 for steps in reports()), 60)
        slurms("scontrol", "requeue", job)
        wait_until(lambda: slurms("squeue", "--noheader", "--format=%t") == "PD", 40)
        assert states() == {TrialState.WAITING}
        slurms("scontrol", "update", f"JobId={job}", "StartTime=now")
        wait_until(lambda: not slurms("squeue", "--noheader", "--format=%t"), 90)
    finally:
        slurms("scancel", "--quiet", job)
    assert states() == {TrialState.COMPLETE}, (folder / f"sweep-mine-{job}.log").read_text()
    for steps in reports():
        assert steps == sorted(set(steps)), "none was repeated"
        assert steps[-1] == 60
        # A line that is printed while the script is asked to end is dropped.
        assert len(steps) >= 59, steps
