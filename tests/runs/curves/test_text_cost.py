"""Lines that no training prints: reading them costs no more than their length."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from orchestrator.engine.script.printed import LONGEST, read_line
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


@pytest.mark.parametrize("read", [lambda line: list(TextParser().rows([line])), read_line])
@pytest.mark.parametrize("piece", PIECES)
def test_no_line_takes_long(piece: str, read: Callable[[str], object]) -> None:
    for length in (LONGEST, 4000):
        started = time.process_time()
        read(f"epoch 1 loss 0.5 {piece * length}"[:length])
        assert time.process_time() - started < 0.5, "it took up to three seconds"
