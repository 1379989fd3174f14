"""Print a batch script that runs a sweep on a cluster."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from orchestrator.cli import options
from orchestrator.cli.commands import run
from orchestrator.errors import UsageError
from orchestrator.sweepfile import load_spec
from orchestrator.sweepfile.checks import refuse_unbounded

_SLURM_TIME = re.compile(r"\d+|(\d+-)?\d+(:\d\d){1,2}|\d+-\d+")
_NAME = re.compile(r"[\w.,@%+:/=-]+")

_NOT_IN_A_JOB = {
    "new": "a job that is queued again would start another sweep instead of continuing",
    "detach": "the job would end at once, and the sweep with it",
    "inline": "no trial would run on the nodes of the job",
    "address": "the script sets it",
}
"""Options of `sweep run` that a job must not have, with the reason."""

_SCRIPT = r"""
set -euo pipefail
cd {folder}
{setup}

# Ray obeys all who can reach its ports, unless they have to present this token.
RAY_AUTH_TOKEN="$(python3 -c 'import secrets; print(secrets.token_hex(32))')"
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
others=$((${#nodes[@]} - 1))
ip=127.0.0.1
if [ "$others" -gt 0 ]; then # this shell runs on the first node
  ips="$(hostname --ip-address; hostname --all-ip-addresses)"
  ip="$(tr ' ' '\n' <<<"$ips" | grep -v -m1 -e '^127\.' -e : -e '^$')"
fi
address="$ip:$((20000 + SLURM_JOB_ID % 10000))" # jobs that share a node need different ports
temporary="/tmp/ray-$SLURM_JOB_ID"
step=(srun --overlap --ntasks-per-node=1 --cpu-bind=none)

# USR1 comes two minutes before the time limit: save all trials and queue the job again.
# SIGTERM comes with scancel or preemption: save all trials. Slurm queues preempted jobs itself.
driver="" signal=""
trap 'signal=USR1; kill -TERM $driver 2>/dev/null || true' USR1
trap 'signal=TERM; kill -TERM $driver 2>/dev/null || true' TERM

"${step[@]}" --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" \
  ray start --head --node-ip-address="$ip" --port="${address##*:}" --include-dashboard=false \
  --temp-dir="$temporary" --block &
rays=("$!")
until (exec 3<>"/dev/tcp/${address/://}") 2>/dev/null; do
  kill -0 "${rays[0]}" 2>/dev/null || { echo "Ray did not start on ${nodes[0]}." >&2; exit 1; }
  sleep 0.5
done
if [ "$others" -gt 0 ]; then
  "${step[@]}" --nodes="$others" --ntasks="$others" --exclude="${nodes[0]}" \
    ray start --address="$address" --block &
  rays+=("$!")
fi
python3 - "$address" "${#nodes[@]}" <<'END'
import sys, time, ray
expected, deadline, joined = int(sys.argv[2]), time.monotonic() + 60, 0
ray.init(sys.argv[1], log_to_driver=False, logging_level="error")
while (joined := sum(node["Alive"] for node in ray.nodes())) < expected:
    if time.monotonic() > deadline:
        break
    time.sleep(1)
print(f"{joined} of {expected} nodes have joined.")
END

status=130
if [ -z "$signal" ]; then
  {command} --address "$address" &
  driver=$!
  while kill -0 "$driver" 2>/dev/null; do # a signal ends a wait before the sweep has ended
    wait "$driver" || true
  done
  status=0
  wait "$driver" || status=$?
fi
if [ "$signal" = USR1 ] && [ "$status" = 130 ]; then
  scontrol requeue "$SLURM_JOB_ID" # the same command continues the sweep
fi
kill "${rays[@]}" 2>/dev/null || true
wait "${rays[@]}" || true
"${step[@]}" --nodes="${#nodes[@]}" rm -rf "$temporary" || true
exit "$status"
"""


@click.command("cluster")
@click.argument("system", type=click.Choice(["slurm"]))
@click.argument("spec", type=click.Path(path_type=Path))
@click.argument("run_options", nargs=-1, metavar="[-- RUN_OPTIONS]")
@click.option("--nodes", **options.NUMBER, default=1, help="Number of nodes. [default: 1]")
@click.option("--gpus-per-node", metavar="GPUS", help="GPUs of each node, e.g. 4 or a100:4.")
@click.option(
    "--cpus-per-node", **options.NUMBER, help="Cores of each node. [default: the whole node]"
)
@click.option("--time", "limit", metavar="DURATION", help="Time limit, e.g. 12h or 1-12:00:00.")
@click.option("--partition", metavar="NAME", help="Partition.")
@click.option("--account", metavar="NAME", help="Account.")
@click.option(
    "--sbatch", metavar="OPTION", multiple=True, help="Further sbatch option, e.g. --qos=high."
)
@click.option(
    "--setup",
    metavar="LINE",
    multiple=True,
    help="Shell line that sets up the environment. Repeatable. "
    "[default: this Python environment comes first in PATH]",
)
def command(
    *,
    system: str,
    spec: Path,
    run_options: tuple[str, ...],
    setup: tuple[str, ...],
    **resources: Any,
) -> None:
    """Print a batch script that runs the sweep file SPEC on a cluster; submit nothing.

    The script starts Ray with a new access token on the nodes of its job, and `sweep run SPEC
    --address` there. Before the time limit it saves all trials, queues its job again, and the
    sweep continues. Options after -- are those of `sweep run`.
    """
    name = _checked(spec, run_options)
    program = Path(sys.executable).parent
    lines = setup or (f'export PATH={shlex.quote(str(program))}:"$PATH"',)
    filled = {
        "{folder}": shlex.quote(str(Path.cwd())),
        "{setup}": "\n".join(lines),
        "{command}": shlex.join(["sweep", "run", str(spec.absolute()), *run_options]),
    }
    body = re.sub("|".join(map(re.escape, filled)), lambda found: filled[found[0]], _SCRIPT)
    click.echo("\n".join(["#!/usr/bin/env bash", *_directives(name, **resources)]) + body, nl=False)


def _checked(spec: Path, run_options: tuple[str, ...]) -> str:
    """Return the name of the sweep after checking what the job would find wrong only later."""
    given = run.command.make_context("sweep run", [str(spec), *run_options]).params
    for option, reason in _NOT_IN_A_JOB.items():
        if given.get(option):
            raise UsageError(f"--{option}: {reason}. Remove it.")
    selection = {key: given[key] for key in ("overrides", "stage", "quick", "count")}
    loaded = load_spec(spec, need_program=True, **selection)
    refuse_unbounded(loaded)
    return loaded.name


def _directives(
    name: str,
    *,
    nodes: int,
    gpus_per_node: str | None,
    cpus_per_node: int | None,
    limit: str | None,
    partition: str | None,
    account: str | None,
    sbatch: tuple[str, ...],
) -> Iterator[str]:
    """Yield the options of sbatch; the user's come last, since the last of an option counts."""
    job = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII)
    yield f"#SBATCH --job-name=sweep-{job}"
    yield f"#SBATCH --output=sweep-{job}-%j.log"
    yield "#SBATCH --open-mode=append"
    yield f"#SBATCH --nodes={nodes}"
    yield "#SBATCH --ntasks-per-node=1"
    if cpus_per_node is None:
        yield "#SBATCH --exclusive"
        yield "#SBATCH --mem=0"
    else:
        yield f"#SBATCH --cpus-per-task={cpus_per_node}"
    given = {"gpus-per-node": gpus_per_node, "partition": partition, "account": account}
    for option, value in given.items():
        if value is None:
            continue
        if not _NAME.fullmatch(value):
            raise UsageError(f"--{option}: {value!r} is no value of sbatch's --{option}.")
        yield f"#SBATCH --{option}={value}"
    if limit is not None:
        yield f"#SBATCH --time={_slurm_time(limit)}"
    yield "#SBATCH --requeue"
    yield "#SBATCH --signal=B:USR1@120"
    for option in sbatch:
        if not option.startswith("-") or not option.isprintable():
            raise UsageError(f"--sbatch: {option!r} is no option of sbatch. Write e.g. --qos=high.")
        yield f"#SBATCH {option}"


def _slurm_time(text: str) -> str:
    """Return a time limit as Slurm reads it; its own notation passes through."""
    if _SLURM_TIME.fullmatch(text):
        return text
    minutes = max(1, round(options.duration(text, "--time") / 60))
    return f"{minutes // 1440}-{minutes // 60 % 24:02}:{minutes % 60:02}:00"
