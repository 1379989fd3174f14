"""Text of strangers on a terminal and in a spreadsheet."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, strategies as st

from orchestrator.analysis.table.flat_table import _inert
from orchestrator.cli.render.text import markdown, safe


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;QUJD\x07after", "after"),
        ("\x1b]0;title\x1b\\after", "after"),
        ("\x1b[2J\x1b[1;1Hafter", "after"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("bell\x07 null\0 c1\x9b2J", "bell? null? c1?2J"),
        ("50%\r100%\n\tdone", "50%\r100%\n\tdone"),
        ("cut\x1b", "cut"),
        ("cut\x1b]52;c;QUJ", "cut"),
    ],
)
def test_nothing_commands_the_terminal(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_colors_stay_if_wanted_and_nothing_else() -> None:
    assert safe("\x1b[1;31mred\x1b[0m\x1b[2J", colors=True) == "\x1b[1;31mred\x1b[0m"


@given(st.text(st.sampled_from("\x1b[]0;52mHJcX\x07\\\x9b\n a")))
def test_no_escape_is_left(text: str) -> None:
    assert "\x1b" not in safe(text)
    assert not {"\x07", "\x9b"} & set(safe(text, colors=True))


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-cmd", "\t=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    stream = io.StringIO()
    csv.writer(stream).writerow([_inert(text)])
    assert next(csv.reader(io.StringIO(stream.getvalue()))) == [f"'{text}"]


@pytest.mark.parametrize("value", ["-1e-3", "+0.5", "a=b", "", 5, -1.5, None, "-.5"])
def test_other_cells_stay(value: object) -> None:
    assert _inert(value) == value


def test_a_cell_holds_no_escape_and_markdown_no_tag() -> None:
    assert _inert("a\x1b]52;c;QUJD\x07\n\tb") == "a?]52;c;QUJD?\n\tb"
    assert markdown("<img src=x>|`a` & b\x1b[2J") == "&lt;img src=x>\\|\\`a\\` &amp; b?[2J"
