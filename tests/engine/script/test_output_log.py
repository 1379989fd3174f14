"""What a terminal is shown of the output of a script that runs inline."""

from __future__ import annotations

from hypothesis import given, strategies as st

from orchestrator.engine.script.output_log import Shown

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
