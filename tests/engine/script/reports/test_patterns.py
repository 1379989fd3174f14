from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.engine.script.output_text import Line, Lines
from orchestrator.engine.script.reports.merge import HOLD_S, Follower, Reports
from orchestrator.errors import TrialError
from orchestrator.runs.curves.cells import number

BOTH = r"Epoch (?P<step>\d+)/(?P<total>\d+) - loss: (?P<loss>\S+)( - val_loss: (?P<val_loss>\S+))?"
HEADER = r"Epoch (?P<epoch>\d+)/\d+"
LOSS = r"\bloss: (?P<loss>\S+)"
VAL_LOSS = r"val_loss: (?P<val_loss>\S+)"


class Sink(Reports):
    def __init__(self) -> None:
        super().__init__()
        self.reports: list[tuple[int, dict[str, float]]] = []
        self.facts: list[dict[str, Any]] = []
        self.warnings: list[str] = []

    def report(self, step: int, **metrics: float) -> None:
        self.reports.append((step, metrics))

    def describe(self, *, total_steps: int) -> None:
        self.facts.append({"total_steps": total_steps})

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def follow(sink: Sink, *patterns: str) -> Follower:
    return Follower(patterns, sink)


def reports_of(output: str, *patterns: str) -> list[tuple[int, dict[str, float]]]:
    sink = Sink()
    follower = follow(sink, *patterns)
    for line in Lines().feed(output.encode()):
        follower.line(line, 0.0)
    follower.send()
    return sink.reports


def test_one_pattern_reports_at_the_end_of_its_line() -> None:
    sink = Sink()
    follower = follow(sink, BOTH)
    follower.line(Line("Epoch 3/10 - loss: 0.1 - val_loss: 0.2"), 0.0)
    assert sink.reports == [(3, {"loss": 0.1, "val_loss": 0.2})]
    assert sink.facts == [{"total_steps": 10}]
    follower.line(Line("Epoch 4/10 - loss: 0.05"), 0.0)
    assert sink.reports[1:] == [(4, {"loss": 0.05})]
    assert len(sink.facts) == 1


def test_patterns_of_one_step_make_one_report_as_soon_as_all_are_there() -> None:
    sink = Sink()
    follower = follow(sink, HEADER, LOSS, VAL_LOSS)
    for text in ("Epoch 1/3", "100/100 - loss: 0.4"):
        follower.line(Line(text), 0.0)
    assert sink.reports == []
    follower.line(Line("val_loss: 0.5"), 0.0)
    assert sink.reports == [(1, {"loss": 0.4, "val_loss": 0.5})]


def test_what_stays_away_is_not_waited_for_longer_than_a_moment() -> None:
    sink = Sink()
    follower = follow(sink, HEADER, LOSS, VAL_LOSS)
    follower.line(Line("Epoch 1/3"), 0.0)
    follower.line(Line("loss: 0.4"), 0.0)
    follower.tick(HOLD_S / 2)
    assert sink.reports == []
    follower.tick(HOLD_S)
    assert sink.reports == [(1, {"loss": 0.4})]
    follower.line(Line("val_loss: 0.5"), 60.0)
    follower.tick(99.0)
    assert sink.reports[1:] == [(1, {"val_loss": 0.5})]


def test_the_next_step_closes_the_one_before() -> None:
    output = "Epoch 1/2\nloss: 0.4\nEpoch 2/2\nloss: 0.3\nval_loss: 0.5\n"
    expected = [(1, {"loss": 0.4}), (2, {"loss": 0.3, "val_loss": 0.5})]
    assert reports_of(output, HEADER, LOSS, VAL_LOSS) == expected


def test_a_progress_bar_gives_its_last_value() -> None:
    output = "".join(
        f"Epoch {epoch}/2\n"
        + "".join(f"{n}/3 - loss: 0.{epoch}{n}\r" for n in (1, 2))
        # The last state of the bar is a line that ends.
        + f"3/3 - loss: 0.{epoch}3 - val_loss: 0.{epoch}\n"
        for epoch in (1, 2)
    )
    expected = [(1, {"loss": 0.13, "val_loss": 0.1}), (2, {"loss": 0.23, "val_loss": 0.2})]
    assert reports_of(output, HEADER, LOSS, VAL_LOSS) == expected


def test_a_line_for_each_batch_gives_the_last_value_of_the_epoch() -> None:
    pattern = r"epoch (?P<epoch>\d+) batch \d+ loss: (?P<loss>\S+)"
    output = "".join(
        f"epoch {epoch} batch {batch} loss: {epoch}.{batch}\n"
        for epoch in (1, 2, 3)
        for batch in (1, 2, 3)
    )
    found = reports_of(output, pattern)
    # That a metric changes within a step is known from the second line on.
    assert found == [(1, {"loss": 1.1}), (1, {"loss": 1.3}), (2, {"loss": 2.3}), (3, {"loss": 3.3})]


def test_an_unfinished_line_counts_once() -> None:
    sink = Sink()
    follower = follow(sink, BOTH)
    follower.unfinished(Line("Epoch 1/3 - loss: 0.1", in_place=True), 0.0)
    follower.tick(5.0)
    assert sink.reports == [(1, {"loss": 0.1})]
    follower.line(Line("Epoch 1/3 - loss: 0.1 - val_loss: 0.2"), 60.0)
    assert sink.reports[1:] == [(1, {"val_loss": 0.2})]
    follower.line(Line("Epoch 2/3 - loss: 0.1 - val_loss: 0.2"), 61.0)
    assert len(sink.reports) == 3


def test_without_a_step_group_matches_are_counted() -> None:
    output = "loss: 0.4\nloss: 0.3\nval_loss: 0.5\nloss: 0.3\n"
    expected = [(1, {"loss": 0.4}), (2, {"loss": 0.3, "val_loss": 0.5}), (3, {"loss": 0.3})]
    assert reports_of(output, LOSS, VAL_LOSS) == expected


def test_without_a_step_group_an_unfinished_line_is_not_counted_twice() -> None:
    sink = Sink()
    follower = follow(sink, LOSS)
    follower.unfinished(Line("loss: 0.4", in_place=True), 0.0)
    follower.line(Line("loss: 0.4"), 0.0)
    assert sink.reports == [(1, {"loss": 0.4})]


def test_metrics_before_any_step_belong_to_step_0() -> None:
    output = "val_loss: 2.3\nEpoch 1/2\nloss: 0.4\nval_loss: 0.5\n"
    expected = [(0, {"val_loss": 2.3}), (1, {"loss": 0.4, "val_loss": 0.5})]
    assert reports_of(output, HEADER, LOSS, VAL_LOSS) == expected


def test_steps_that_begin_again_are_counted_on() -> None:
    sink = Sink()
    follower = follow(sink, BOTH)
    for _fold in range(2):
        for epoch in (1, 2, 3):
            follower.line(Line(f"Epoch {epoch}/3 - loss: 0.1"), 0.0)
    assert [step for step, _ in sink.reports] == [1, 2, 3, 4, 5, 6]
    assert sink.warnings == ["the script's steps began again at 1 after 3; they are counted on"]


def test_a_straggler_does_not_turn_steps_back() -> None:
    output = "".join(f"Epoch {step}/9 - loss: 0.{step}\n" for step in (5, 6, 7, 6, 8))
    assert [step for step, _ in reports_of(output, BOTH)] == [5, 6, 7, 7, 8]


def test_a_diverged_metric_is_reported_as_what_it_is() -> None:
    ((_, metrics),) = reports_of("Epoch 1/3 - loss: nan - val_loss: -inf\n", BOTH)
    assert math.isnan(metrics["loss"])
    assert metrics["val_loss"] == -math.inf


def test_a_value_that_stays_nan_is_one_value() -> None:
    assert len(reports_of("Epoch 1/3 - loss: nan\nEpoch 1/3 - loss: nan\n", BOTH)) == 1


def test_what_is_not_a_number_is_warned_of_once() -> None:
    sink = Sink()
    follower = follow(sink, BOTH)
    for epoch in (1, 2, 3):
        follower.line(Line(f"Epoch {epoch}/3 - loss: --"), 0.0)
    assert sink.reports == []
    assert sink.warnings == ["the pattern's loss is not a number (found '--')"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-1.5E+02", -150.0),
        ("1,234", 1234.0),
        ("12,345,678.5", 12345678.5),
        ("0,5", 0.5),
        ("93.1%", 93.1),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
        ("NaN", math.nan),
        (".5", 0.5),
    ],
)
def test_numbers_as_people_print_them(text: str, value: float) -> None:
    assert number(text) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize("text", ["", "--", "None", "1.2.3", "1,2,3", "tensor(1)"])
def test_other_text_is_no_number(text: str) -> None:
    assert number(text) is None


@given(st.floats() | st.integers(-(10**18), 10**18))
def test_what_python_prints_is_read_back(value: float) -> None:
    assert number(repr(value)) == pytest.approx(value, rel=0, abs=0, nan_ok=True)
    assert number(f"{value:,}") == pytest.approx(value, rel=0, abs=0, nan_ok=True)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("loss: (", "not a regular expression"), (r"loss: (\S+)", "has no named group")],
)
def test_a_useless_pattern_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(TrialError, match=message):
        follow(Sink(), pattern)


outputs = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from(["loss: ", "val_loss: "]), st.integers(0, 3)),
    max_size=30,
)


@given(outputs, st.booleans())
def test_steps_never_fall_and_the_last_value_of_a_step_is_reported(
    events: list[tuple[int, str, int]], in_place: bool
) -> None:
    sink = Sink()
    follower = follow(sink, HEADER, LOSS, VAL_LOSS)
    for step, name, value in events:
        follower.line(Line(f"Epoch {step}/9 {name}{value}", in_place=in_place), 0.0)
    follower.send()
    steps = [step for step, _ in sink.reports]
    assert steps == sorted(steps)
    last = {}
    for _, metrics in sink.reports:
        last |= metrics
    assert last == {name.rstrip(": "): value for _, name, value in events}
