from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.sweepfile.conditions.condition import bound, evaluate, names
from orchestrator.sweepfile.conditions.grammar import (
    WORDS,
    Among,
    Between,
    Both,
    Compare,
    Condition,
    ConditionError,
    Name,
    Not,
    Ratio,
    Word,
    parse,
)
from orchestrator.sweepfile.model.spec import Bound

numbers = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
plain_names = st.from_regex(r"[a-zA-Zä_][a-zA-Z0-9_.-]{0,6}(?<![.-])", fullmatch=True)
odd_names = st.text(st.characters(exclude_characters="`", exclude_categories=["Cs"]), min_size=1,
                    max_size=6)  # fmt: skip
named = st.builds(Name, plain_names | odd_names, st.none() | st.integers(0, 10**6))
terms = named | st.builds(Ratio, named, named)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
equal = st.sampled_from(["==", "!="])
ordered = st.sampled_from(["<", "<=", ">", ">="])
leaves: st.SearchStrategy[Condition] = (
    st.builds(Compare, terms, ordered, numbers | named)
    | st.builds(Compare, terms, equal, numbers | named | st.none() | st.booleans() | texts)
    | st.tuples(numbers, numbers).flatmap(
        lambda pair: st.builds(Between, terms, st.just(float(min(pair))), st.just(float(max(pair))))
    )
    | st.builds(Word, st.sampled_from(WORDS))
)
trees: st.SearchStrategy[Condition] = st.recursive(
    leaves,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(Both, st.sampled_from(["and", "or"]), inner, inner)
        | st.builds(Among, st.sampled_from(["any", "all"]), inner)
    ),
    max_leaves=6,
)


@given(trees)
def test_the_text_of_a_tree_means_the_tree(tree: Condition) -> None:
    assert parse(str(tree)) == tree


@given(st.text(max_size=60) | st.text("ab<>=!()@/.:'\"`0123 andortis", max_size=40))
def test_any_text_is_a_condition_or_gets_one_sentence(text: str) -> None:
    try:
        tree = parse(text)
    except ConditionError as error:
        message = str(error)
        assert message.startswith(
            ("expected", "unexpected", "a number is", "a range goes", "nested")
        )
        assert "\n" not in message
        assert len(message) < 200
        return
    assert parse(str(tree)) == tree
    assert evaluate(tree, {}) in (True, False, None)


@given(trees, st.dictionaries(plain_names | st.sampled_from(WORDS), numbers | texts | st.none()))
def test_evaluation_never_raises(tree: Condition, values: dict[str, Any]) -> None:
    found = evaluate(tree, values, many=[values, {}])
    assert found in (True, False, None)
    opposite = evaluate(Not(tree), values, many=[values, {}])
    assert opposite is (None if found is None else not found)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true') == 0", "a.__class__ == 1 if b else 2", "lambda: 1",
        "[x for x in y]", "a := 3", "f(1) < 2", "a < 1; b", "exec('1') == 1", "a ** 9 < 3",
    ],
)  # fmt: skip
def test_no_code_is_a_condition(text: str) -> None:
    with pytest.raises(ConditionError):
        parse(text)


CONFIG = {
    "lr": 0.01, "batch": 2, "clip": None, "model": "lstm", "amp": True, "nan": math.nan,
    "opt": {"lr": 3}, "a/b": 7, "a": 1.0, "b": 0, "warmup": 5, "epochs": 4, "x@5": 0.1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("batch < 4", True),
        ("batch == 2.0", True),
        ("batch != 2", False),
        ("amp == true", True),
        ("amp == 1", False),  # true is no number
        ("amp < 2", False),
        ("clip is null", True),
        ("clip is not null", False),
        ("clip < 3", False),
        ("clip != 3", True),
        ("model == lstm", True),
        ("model == 'lstm'", True),
        ("model != hybrid", True),
        ("model < 3", False),
        ("nan < 1", False),
        ("nan > 1", False),
        ("nan: 0..1", False),
        ("lr: 0.001..0.01", True),
        ("lr: 0.02..0.1", False),
        ("warmup < epochs", False),
        ("opt.lr == 3", True),
        ("a/b > 6", True),  # a name with a slash
        ("batch/warmup < 0.5", True),
        ("batch/b < 1", False),  # divided by zero
        ("x@5 < 0.2", True),
        ("x@6 < 0.2", None),
        ("unknown < 3", None),
        ("unknown < 3 and batch > 9", False),
        ("unknown < 3 or batch < 9", True),
        ("not unknown < 3", None),
        ("batch < 4 and clip is null or unknown == 1", True),
        ("batch > 4 and (clip is null or unknown == 1)", False),
        ("stable", None),
    ],
)
def test_evaluation(text: str, expected: bool | None) -> None:
    assert evaluate(parse(text), CONFIG) is expected


def test_of_many() -> None:
    trials = [{"mae": 0.1, "complete": True}, {"mae": 0.3, "complete": False}]
    assert evaluate(parse("any mae <= 0.2"), {}, many=trials) is True
    assert evaluate(parse("all mae <= 0.2"), {}, many=trials) is False
    assert evaluate(parse("all complete"), {}, many=trials) is False
    assert evaluate(parse("any mae < 0.01"), {}, many=[*trials, {}]) is None
    assert evaluate(parse("all complete"), {}, many=[]) is True
    assert evaluate(parse("any complete"), {}, many=[]) is False


def test_steps_are_asked_for() -> None:
    curve = {("mse", 5): 0.1}
    at = lambda name, step: curve.get((name, step))  # noqa: E731
    assert evaluate(parse("mse@5 < 0.2"), {}, at=at) is True
    assert evaluate(parse("mse@6 < 0.2"), {}, at=at) is None


def test_names() -> None:
    tree = parse("not (a/b < 1 or c@3 == d) and any e: 0..1 and stable")
    assert {str(name) for name in names(tree)} == {"a", "b", "c@3", "d", "e"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "name of a parameter or metric"),
        ("a", "for a switch write 'a == true'"),
        ("a = 1", "Write ==."),
        ("a && b", "Write and."),
        ("1 < a", "Write 'NAME < NUMBER'."),
        ("0 < a < 1", "a name first"),
        ("a < 1 < 2", "Write a range as 'NAME: A..B'."),
        ("a < 1 2", "and, or, or the end"),
        ("a <", "a number or a name"),
        ("a < true", "a number or a name"),
        ("a: 3..1", "a range goes from the least"),
        ("a: 3", "'..' between two numbers"),
        ("(a < 1", "closing parenthesis"),
        ("a is 3", "null after is"),
        ("a@-1 < 3", "a step from 0"),
        ("a < 1e999", "not finite"),
        ("a < 1x", "begins with a letter"),
        ("a + b < 3", "There is no arithmetic"),
        ("not " * 100 + "a < 1", "nested more than 40 deep"),
        ("(" * 100 + "a < 1", "nested more than 40 deep"),
        ("a < 1 or " * 1000 + "a < 1", "longer than 2,000 characters"),
    ],
)
def test_what_is_none(text: str, words: str) -> None:
    with pytest.raises(ConditionError) as caught:
        parse(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["0.02", "== 1", "<= x", "@5 < 3", "<= 1 and y > 2", "/y < 3", ""])
def test_what_is_no_bound(text: str) -> None:
    with pytest.raises(ConditionError):
        bound(text)


@given(st.sampled_from(["<", "<=", ">", ">="]), numbers)
def test_bounds(op: str, number: float) -> None:
    found = bound(f"{op} {number!r}")
    assert found == bound(str(found)) == Bound(op, float(number))
    assert bound(f" {op}{number!r} ") == found
