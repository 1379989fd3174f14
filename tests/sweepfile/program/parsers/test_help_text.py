"""Help texts of the real parsers."""

from __future__ import annotations

import argparse
from typing import Any

import click
from hypothesis import given, strategies as st

from orchestrator.sweepfile.program.parsers.help_text import read_help


def told(text: str) -> dict[str, tuple[Any, ...]]:
    return {
        item.name: (item.type, item.default, item.choices, item.is_switch, item.is_required)
        for item in read_help(text)
    }


def test_argparse() -> None:
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("data", help="where it is")
    parser.add_argument("--lr", type=float, default=1e-3, help="learning rate")
    long = "how many samples make a batch, in words that go on over more than one line"
    parser.add_argument("-b", "--batch-size", type=int, default=3, help=long)
    parser.add_argument("--opt", choices=["adam", "sgd"], default="adam", help="which")
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True, help="mixed")
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--layers", nargs="+", type=int)
    assert told(parser.format_help()) == {
        "lr": (float, 0.001, (), False, False),
        "batch_size": (int, 3, (), False, False),
        "opt": (str, "adam", ("adam", "sgd"), False, False),
        "amp": (bool, True, (), True, False),
        "fast": (bool, False, (), True, False),
        "layers": (None, None, (), False, False),
    }
    batch = next(item for item in read_help(parser.format_help()) if item.name == "batch_size")
    assert batch.help == long


def test_click() -> None:
    @click.command()
    @click.option("--lr", type=float, default=0.1, show_default=True, help="learning rate")
    @click.option("--count", type=click.IntRange(1), required=True)
    @click.option("--mode", type=click.Choice(["a", "b"]), default="a", show_default=True)
    @click.option("--amp/--no-amp", default=True)
    @click.option("-v", "--verbose", is_flag=True, help="talk")
    @click.version_option("1")
    def train(**known: Any) -> None:
        """Train."""

    assert told(train.get_help(click.Context(train))) == {
        "lr": (float, 0.1, (), False, False),
        "count": (int, None, (), False, True),
        "mode": (str, "a", ("a", "b"), False, False),
        "amp": (bool, False, (), True, False),
        "verbose": (bool, False, (), True, False),
    }


@given(st.text(max_size=400))
def test_any_text_is_read(text: str) -> None:
    for item in read_help(text + "\n  --x" + text):
        assert item.name
