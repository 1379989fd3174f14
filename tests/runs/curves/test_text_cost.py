"""Lines that no training prints: reading them costs no more than their length."""

from __future__ import annotations

import time

import pytest

from orchestrator.engine.script.printed import read_line
from orchestrator.runs.curves.formats.text_parser import TextParser

PIECES = [
    *(
        "a",
        "a_",
        "a ",
        "a/",
        "a-",
        "a.",
        "a%",
        "1",
        "1,",
        "111,",
        "1e",
        "é",
        "{",
        "|",
        " ",
        "=",
        ":",
    ),
    *("a=1 ", "a=1a", "a: 1/", "| a ", "loss ", "loss_", "epoch ", "epoch(", "step:", "loss 1."),
    *("\x1b[", "\x1b]", "{'a':", "tensor(", "train ", "aaaa bbbb cccc dddd "),
]


@pytest.mark.parametrize("piece", PIECES)
def test_twice_the_length_takes_no_four_times_as_long(piece: str) -> None:
    def cost(length: int) -> float:
        line = (piece * length)[:length]
        took = []
        for _ in range(3):
            started = time.process_time()
            list(TextParser().rows([line]))
            read_line(line)
            took.append(time.process_time() - started)
        return min(took)

    assert cost(4000) < 0.1 + 3 * cost(2000)
