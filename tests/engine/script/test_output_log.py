"""What a terminal is shown of the output of a script that runs inline."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from orchestrator.engine.script.output_log import OutputLog, Shown

OUTPUT = (
    "loss 0.5 \x1b[31mred\x1b[0m\x1b]52;c;QUJD\x07\x1b[2J\x1b[3Aup é\x1b]0;title\x1b\\\x1bc"
    "\x07\x08\x9b5A\x1bP1$q\x1b\\ end\r\n"
).encode()


@given(st.lists(st.integers(1, 7), min_size=1, max_size=60))
def test_no_command_to_a_terminal_gets_through_however_it_is_cut(sizes: list[int]) -> None:
    for colors in (True, False):
        shown, rest, found = Shown(colors=colors), OUTPUT, b""
        for size in [*sizes, len(OUTPUT)]:
            found += shown.of(rest[:size])
            rest = rest[size:]
        red = "\x1b[31mred\x1b[0m" if colors else "red"
        assert found.decode() == f"loss 0.5 {red}up é5A end\r\n"


@given(st.binary())
def test_only_colors_are_left_of_any_output(data: bytes) -> None:
    assert b"\x1b" not in Shown(colors=False).of(data)


def test_lines_appear_once_they_are_whole(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The sweep prints its own lines in between."""
    log = OutputLog(tmp_path / "log.txt", pytest.fail)
    for part in (b"epoch 1 ", b"loss 0.5\nepoch 2", b"\r", b"epoch 3"):
        log.write(part)
        os.write(1, b"|")
    log.begin_step(None)
    log.write(b"=== step two\nend")
    log.close()
    shown = "|epoch 1 loss 0.5\n|epoch 2\r||epoch 3\n=== step two\nend\n"
    assert capfd.readouterr().out.replace("\r\n", "\n") == shown
    printed = "epoch 1 loss 0.5\nepoch 2\repoch 3=== step two\nend"
    assert (tmp_path / "log.txt").read_bytes().decode() == printed


def test_a_line_without_end_is_shown_all_the_same(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = OutputLog(tmp_path / "log.txt", pytest.fail)
    for _ in range(3):
        log.write(b"x" * 60_000)
    assert len(capfd.readouterr().out) == 120_000
