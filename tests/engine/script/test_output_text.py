from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from orchestrator.engine.script.output_text import (
    LONGEST_LINE,
    LONGEST_SHOWN,
    Line,
    Lines,
    Tail,
    clean,
    headline,
    lines_that_matter,
)


def lines_of(*chunks: bytes) -> list[Line]:
    lines = Lines()
    return [line for chunk in chunks for line in lines.feed(chunk)]


def test_lines_end_at_any_newline_and_empty_ones_are_left_out() -> None:
    assert lines_of(b"one\ntwo\r\n\n  \nthree\n") == [Line("one"), Line("two"), Line("three")]


def test_nan_as_c_writes_it_is_no_number() -> None:
    assert clean(b"loss: -1.#IND, acc: 1.#QNAN, x: 1.#INF00, y: 1.5") == (
        "loss: -nan, acc: nan, x: inf, y: 1.5"
    )


def test_a_progress_bar_is_lines_written_over_and_its_last_state_a_line() -> None:
    bar = b"\r 10%|#   | loss=0.5\r100%|####| loss=0.1\n"
    assert lines_of(bar) == [
        Line(" 10%|#   | loss=0.5", in_place=True),
        Line("100%|####| loss=0.1"),
    ]


def test_backspaces_and_cursor_movements_write_over_too() -> None:
    assert lines_of(b"5/10\b\b\b\b6/10\n") == [Line("5/10", in_place=True), Line("6/10")]
    assert lines_of(b"a 1\x1b[2K\x1b[1Ga 2\n") == [Line("a 1", in_place=True), Line("a 2")]


def test_colours_titles_and_control_characters_vanish() -> None:
    raw = b"\x1b]0;title\x07\x1b[1;32mloss\x1b[0m: \x1b[38;5;9m0.1\x1b[K\x00\x1b(B"
    assert clean(raw) == "loss: 0.1"


def test_undecodable_bytes_do_not_hide_the_rest() -> None:
    assert lines_of(b"caf\xe9 loss: 0.1\n") == [Line("caf\ufffd loss: 0.1")]


def test_an_unfinished_line_can_be_seen_and_comes_again_when_it_ends() -> None:
    lines = Lines()
    assert list(lines.feed(b"Epoch 3 - loss: 0.1")) == []
    assert lines.unfinished() == Line("Epoch 3 - loss: 0.1", in_place=True)
    assert list(lines.feed(b" - val_loss: 0.2\n")) == [Line("Epoch 3 - loss: 0.1 - val_loss: 0.2")]
    assert lines.unfinished() is None


pieces = st.sampled_from(
    [
        *(b"\n", b"\r", b"\r\n", b"\b\b", b"\x1b[32m", b"\x1b[2A", b"\x1b", b"\x1b]0;t\x07"),
        *(b"loss: 0.1", b" ", b"x", b"\xc3\xa9", b"\xff"),
    ]
)


@given(st.lists(pieces), st.lists(st.integers(0, 60)))
def test_how_bytes_are_cut_into_chunks_does_not_matter(parts: list[bytes], cuts: list[int]) -> None:
    raw = b"".join(parts)
    edges = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    chunks = [raw[start:end] for start, end in pairwise(edges)]
    whole = Lines()
    expected = list(whole.feed(raw))
    cut = Lines()
    assert [line for chunk in chunks for line in cut.feed(chunk)] == expected
    assert cut.unfinished() == whole.unfinished()


def test_a_line_without_end_takes_no_more_memory() -> None:
    lines = Lines()
    chunk = b"x" * 65_536
    tracemalloc.start()
    for _ in range(400):
        assert list(lines.feed(chunk)) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000
    assert [len(line.text) for line in lines.feed(b"\nnext\n")] == [LONGEST_LINE, 4]


def test_the_tail_shows_what_a_terminal_would() -> None:
    tail = Tail(longest=3)
    for line in lines_of(b"a\nb\n1%\r2%\r3%\nc\n" + b"y" * 9000 + b"\n"):
        tail.add(line)
    assert list(tail.lines) == ["3%", "c", "y" * LONGEST_SHOWN]


TRACEBACK = """Epoch 1
Traceback (most recent call last):
  File "train.py", line 1, in old
    boom()
KeyError: 'first'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "train.py", line 90, in <module>
    main()
  File "train.py", line 80, in main
    step()
  File "train.py", line 70, in step
    multiply(a, b)
RuntimeError: shapes differ:
a is (3, 4)
b is (5, 6)"""


def test_the_end_of_the_last_traceback_matters() -> None:
    found = lines_that_matter(TRACEBACK.splitlines(), most=8)
    assert found == [
        '  File "train.py", line 80, in main',
        "    step()",
        '  File "train.py", line 70, in step',
        "    multiply(a, b)",
        "RuntimeError: shapes differ:",
        "a is (3, 4)",
        "b is (5, 6)",
    ]


def test_noise_behind_a_traceback_does_not_hide_it() -> None:
    noise = [f"uploading {n}" for n in range(100)]
    found = lines_that_matter([*TRACEBACK.splitlines(), *noise])
    assert "RuntimeError: shapes differ:" in found
    assert len(found) <= 10


def test_a_traceback_behind_a_prefix_is_understood() -> None:
    lines = [f"[rank0]: {line}" for line in TRACEBACK.splitlines()]
    assert "[rank0]: RuntimeError: shapes differ:" in lines_that_matter(lines)


@pytest.mark.parametrize("count", [0, 1, 50])
def test_without_a_traceback_the_last_lines_matter(count: int) -> None:
    lines = [f"line {n}" for n in range(count)]
    assert lines_that_matter(lines, most=10) == lines[-10:]


@given(st.lists(st.text(max_size=20) | st.just("Traceback (most recent call last):")))
def test_what_matters_is_part_of_the_output_and_short(lines: list[str]) -> None:
    found = lines_that_matter(lines)
    assert len(found) <= 10
    assert all(line in lines for line in found)
    assert bool(found) == bool(lines)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (TRACEBACK.splitlines(), "RuntimeError: shapes differ:"),
        (["usage: x [-h]", "x: error: unrecognized arguments: --a", "bye"], None),
        (["terror", "loss: 0.1"], ""),
        ([], ""),
    ],
)
def test_the_headline_names_the_fault(lines: list[str], fault: str | None) -> None:
    assert headline(lines) == (lines[1] if fault is None else fault)
