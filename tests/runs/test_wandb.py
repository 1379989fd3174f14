"""W&B's offline log is read, whole or while it grows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from orchestrator.runs.curves.formats.wandb_log import WandbLog
from orchestrator.runs.curves.log_reader import LogProblem
from orchestrator.runs.curves.reader import read_runs
from tests.runs.wandb_made import log_bytes

reports = st.lists(
    st.tuples(
        st.integers(0, 10**6),
        st.dictionaries(
            st.sampled_from(["loss", "val/acc", "ünicode"]),
            st.floats(allow_nan=False, allow_infinity=False),
            min_size=1,
        ),
    ),
    max_size=20,
)


@settings(max_examples=60)
@given(reports, st.sampled_from([0, 32_700, 70_000]), st.data())
def test_a_log_that_grows_in_any_pieces_is_read_as_when_it_is_whole(
    tmp_path_factory: pytest.TempPathFactory,
    said: list[tuple[int, dict[str, float]]],
    pad: int,
    data: st.DataObject,
) -> None:
    path = tmp_path_factory.mktemp("wandb") / "run-x.wandb"
    content = log_bytes({"lr": 0.1, "opt": {"name": "adam"}}, said, pad)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    log = WandbLog(path)
    for end in [*cuts, len(content)]:
        path.write_bytes(content[:end])
        log.read()
    assert log.reports == said
    assert log.config == {"lr": 0.1, "opt": {"name": "adam"}}
    assert log.read() == 0


@given(st.binary(max_size=300))
def test_damage_is_never_an_error_beyond_a_problem(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    path = tmp_path_factory.mktemp("wandb") / "run-x.wandb"
    path.write_bytes(log_bytes({"lr": 1}, [(0, {"loss": 1.0})]) + noise)
    log = WandbLog(path)
    log.read()
    assert log.reports[0] == (0, {"loss": 1.0})


def test_another_file_is_refused_and_one_being_made_is_not(tmp_path: Path) -> None:
    path = tmp_path / "run-x.wandb"
    with pytest.raises(LogProblem, match="cannot be read"):
        WandbLog(path).read()
    path.write_bytes(b":W")
    assert WandbLog(path).read() == 0
    path.write_bytes(b"something else")
    with pytest.raises(LogProblem, match="does not begin"):
        WandbLog(path).read()


@pytest.mark.slow
def test_what_the_real_package_logged_is_found(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed (the dev extra has it)")
    script = (
        "import wandb\n"
        "wandb.init(project='p', config={'lr': 0.1, 'opt': {'name': 'adam'}})\n"
        "wandb.config.update({'epochs': 3})\n"
        "for step in range(3):\n"
        "    wandb.log({'loss': 1 / (step + 1), 'val': {'acc': step / 10}, 'nan': float('nan')})\n"
        "wandb.log({'loss': 0.125}, step=10)\n"
        "wandb.finish()\n"
    )
    environ = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    environ["WANDB_DIR"] = str(tmp_path)
    subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environ, check=True, timeout=120
    )
    (run,) = read_runs(tmp_path / "wandb")
    assert run.form == "W&B"
    assert run.config["lr"] == 0.1
    assert run.config["epochs"] == 3
    assert run.series("loss") == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3)), (10, 0.125)]
    assert [name for name in run.names if "acc" in name] == ["val.acc"]
