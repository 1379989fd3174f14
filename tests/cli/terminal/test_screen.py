from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.cli.terminal.emulator import SWEEP, Terminal

SCRIPT = """
import argparse, os, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
lr = parser.parse_args().lr
for epoch in range(1, 5):
    print(f"epoch {epoch}/4 val_loss {lr / epoch:.4f}", flush=True)
    while os.path.exists("hold") and epoch == 3:
        time.sleep(0.02)
print(os.environ.get("CLEARS", "") + " a long line " + "x" * 200)
sys.exit(lr > 0.5)
"""
FILE = """
name: demo
program: train.py
method: grid
metric: {name: val_loss, goal: minimize}
parameters: {lr: {values: [0.1, 0.9, 0.01]}}
"""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "sweep.yaml").write_text(FILE)
    (tmp_path / "hold").touch()
    return tmp_path


def _is_held(lines: list[str]) -> bool:
    return any(line[:1] == "▶" and " 3/4" in line for line in lines)


def _title(lines: list[str]) -> str:
    """Return the line with the time, which each frame changes; "" without one."""
    return next((line for line in lines if line.startswith("demo  RUNNING")), "")


RUN = (*SWEEP, "run", "sweep.yaml", "--inline")


def test_a_run_is_shown_live_and_ends_with_a_clean_terminal(desk: Path) -> None:
    with Terminal(*RUN, folder=desk, CLEARS="\x1b[2J\x1b[H") as terminal:
        shown = terminal.until(_is_held)
        assert shown[0].startswith("sweep:     demo, 3 trials"), "what was printed before stays"
        text = "\n".join(shown)
        assert "3 trials:  ▶ 1 running  · 2 waiting" in text
        assert "CPU and RAM" in text
        assert "epoch 2/4 val_loss 0.0500" in text, "the output of the script is above"
        assert "trial 0 (lr=0.1): started" in text
        title = next(line for line in shown if "val_loss" in line and "best" in line)
        assert {"#", "trial", "epoch", "val_loss", "best"} <= set(title.split())
        terminal.type("\n\n\n")
        before = _title(terminal.shown)
        terminal.until(lambda lines: _is_held(lines) and before not in (_title(lines), ""))
        assert sum("trials:" in line for line in terminal.shown) == 1, "Enter leaves no remains"
        terminal.resize(60, 20)
        terminal.until(lambda lines: lines[0].startswith("demo  RUNNING") and _is_held(lines))
        assert sum("trials:" in line for line in terminal.shown) == 1, "no remains of a frame"
        (desk / "hold").unlink()
        assert terminal.to_the_end() == 1
        everything = terminal.everything
        assert "0001-lr=0.9  FAIL" in everything
        assert "RUNNING" not in everything.partition("0001-lr=0.9  FAIL")[2], "no frame is left"
        assert "2/3 complete, ranked by val_loss" in everything
        assert not terminal.screen.cursor.hidden


@pytest.mark.slow
def test_ctrl_c_leaves_the_terminal_clean(desk: Path) -> None:
    with Terminal(*RUN, folder=desk) as terminal:
        terminal.until(_is_held)
        terminal.type("\x03")
        assert terminal.to_the_end() == 130
        assert "Interrupted. To continue: sweep run" in terminal.everything.replace("\n", " ")
        assert "CPU and RAM" not in terminal.everything
        assert not terminal.screen.cursor.hidden


@pytest.mark.slow
@pytest.mark.parametrize("how", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_terminals_that_cannot_draw_get_lines(desk: Path, how: dict[str, str]) -> None:
    (desk / "hold").unlink()
    with Terminal(*RUN, folder=desk, columns=60, **how) as terminal:
        assert terminal.to_the_end() == 1
        assert "0000-lr=0.1  started on cpu" in terminal.everything
        assert "▶" not in terminal.everything
        assert "(1 of 3 done)" in " ".join(terminal.everything.split()), "it may be folded"


@pytest.mark.slow
def test_a_killed_driver_leaves_the_terminal_usable(desk: Path) -> None:
    with Terminal(*RUN, folder=desk) as terminal:
        terminal.until(_is_held)
        os.killpg(terminal.process.pid, signal.SIGKILL)
        terminal.to_the_end()
        assert not terminal.screen.cursor.hidden
