"""Sizes as people write them, durations as they read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from orchestrator.files.units import (
    GIB,
    MIB,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
    to_mib,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GB", 8 * GIB),
        ("8GiB", 8 * GIB),
        ("8 g", 8 * GIB),
        (" 500 MB ", 500 * MIB),
        ("1.5gb", GIB + GIB // 2),
        ("0.1GB", GIB // 10),
        ("2T", 2048 * GIB),
        ("1kib", 1024),
        ("9" * 400 + "GB", int("9" * 400) * GIB),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["8", 8, 8.5, True, None, "", "GB", "-1GB", "1e3GB", "8 GBit", "0GB", "0.0000001kB", []]
)
def test_what_is_no_size_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_size(text)


@pytest.mark.parametrize(("value", "hint"), [(8, "'8GB'"), ("16", "'16GB'"), ("eight", "'8GiB'")])
def test_the_error_names_a_valid_size(value: object, hint: str) -> None:
    with pytest.raises(ValueError, match="expected a size with a unit") as caught:
        parse_size(value)
    assert hint in str(caught.value)


@given(st.integers(1, 1 << 24), st.sampled_from(["", "i"]), st.sampled_from(["", "b", "B"]))
def test_whole_mib_come_back_exactly(mib: int, binary: str, byte: str) -> None:
    assert to_mib(parse_size(f"{mib}M{binary}{byte}")) == mib
    assert parse_size(f"{mib} m{binary}{byte}") == mib * MIB


@given(st.integers(MIB, 1 << 50))
def test_a_size_for_people_is_read_back_within_its_rounding(size: int) -> None:
    unit = GIB if size >= GIB else MIB
    assert abs(parse_size(format_size(size)) - size) <= (0.051 * unit if unit == GIB else unit / 2)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "-"),
        (-5, "0s"),
        (59.4, "59s"),
        (59.6, "1m 00s"),
        (185, "3m 05s"),
        (3599.7, "1h 00m"),
        (25_920, "7h 12m"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("30m", 1800.0),
        ("5 min", 300.0),
        ("1h 30m", 5400.0),
        ("1.5h", 5400.0),
        (" 2D ", 172_800.0),
        ("0s", 0.0),
    ],
)
def test_durations_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "  ", "90", "s", "-5m", "5m 1h", "1 fortnight", "nan s", 90, None]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"expected a duration, got .*Choices: '90s'"):
        parse_duration(text)


@given(st.integers(0, 10_000))
def test_a_duration_for_people_is_read_back(minutes: int) -> None:
    assert parse_duration(format_duration(minutes * 60)) == minutes * 60
