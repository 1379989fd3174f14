from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings, strategies as st

from orchestrator.errors import SpecError, UsageError
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.yaml import parse
from orchestrator.sweepfile.yaml.node import Log, Node
from orchestrator.sweepfile.yaml.parse import (
    MAX_BYTES,
    loader_with_exponents,
    read_file,
    read_value,
)

Write = Callable[[str], Path]


@pytest.fixture(params=["c", "pure"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with libyaml and without it."""
    if request.param == "pure":
        monkeypatch.setattr(parse, "_LOADER", loader_with_exponents(yaml.SafeLoader))
    elif not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML was built without libyaml")
    return str(request.param)


def read(path: Path) -> tuple[Node, Log]:
    log = Log()
    return read_file(path, log), log


def refusal(path: Path) -> UsageError | None:
    """Return the error with which a file is refused, if it is; any other error is a failure."""
    try:
        load_spec(path)
    except UsageError as error:
        return error
    return None


def refused(path: Path) -> list[str]:
    """Return the messages with which a file is refused."""
    with pytest.raises(SpecError) as caught:
        read(path)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.usefixtures("parser")
class TestScalars:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("1e-5", 1e-5),
            ("5e-3", 5e-3),
            ("8e-03", 8e-3),
            ("1E5", 1e5),
            ("-2e3", -2e3),
            ("+.5e1", 5.0),
            ("1.0e5", 1e5),
            ("1.e2", 100.0),
            ("'1e-5'", "1e-5"),
            ('"5e-3"', "5e-3"),
            ("!!float 1e-5", 1e-5),
            ("!!str 1e-5", "1e-5"),
            ("1e", "1e"),
            ("e5", "e5"),
            ("1e5x", "1e5x"),
            ("12", 12),
            ("1_000", 1000),
            ("012", 10),
            ("1:30", 90),
            ("on", True),
            ("No", False),
            ("~", None),
            ("", None),
            ("'None'", "None"),
            ("2024-02-30", "2024-02-30"),
            ("[1, 1e-2, 'a']", [1, 0.01, "a"]),
            ("{a: 1e-2}", {"a": 0.01}),
        ],
    )
    def test_value(self, write: Write, text: str, value: Any) -> None:
        node, log = read(write(f"key: {text}\n"))
        assert node.plain() == {"key": value}
        assert type(node.plain()["key"]) is type(value)
        assert not log.problems

    def test_everything_keeps_its_line(self, write: Write) -> None:
        node, _ = read(write("a: 1\n\nb:\n  c: 2\n  d:\n  - 3\n  - 4\n"))
        assert [node.key_lines["a"], node.key_lines["b"]] == [1, 3]
        inner = node.value["b"]
        assert inner.key_lines == {"c": 4, "d": 5}
        assert [item.line for item in inner.value["d"].value] == [6, 7]

    def test_keys_stay_as_written(self, write: Write) -> None:
        node, _ = read(write("on: 1\n1: 2\n1e-3: 3\nnull: 4\n"))
        assert list(node.value) == ["on", "1", "1e-3", "null"]

    def test_merge_keys_and_aliases(self, write: Write) -> None:
        node, log = read(write("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {z: 4}]}\n"))
        assert node.plain()["b"] == {"x": 1, "y": 3}
        assert node.plain()["c"] == {"x": 1, "y": 2, "z": 4}
        assert not log.problems


@pytest.mark.usefixtures("parser")
class TestRefused:
    @pytest.mark.parametrize(
        ("text", "line", "words"),
        [
            ("", None, "empty"),
            ("# only a comment\n", None, "empty"),
            ("---\n", None, "empty"),
            ("- a\n- b\n", 1, "expected a mapping"),
            ("just text", 1, "expected a mapping"),
            ("a:\n\tb: 1\n", 2, "with a tab"),
            ("a: [1, 2\n", None, "not YAML"),
            ('a: "loss (\\d+)"\n', 1, "Write the text in single quotes"),
            ("a: 1\n b: 2\n", 2, "not YAML"),
            ("a: >= 0.98\n", 1, 'Quote the value: ">= 0.98"'),
            ("command: [${env}, x]\n", 1, 'Quote what has braces: "${env}"'),
            ("a: \x01\n", 1, "control characters"),
            ("a: 1\n---\nb: 2\n", 2, "second document"),
            ("a: &a [*a]\n", 1, "inside &a itself"),
            ("a: *nobody\n", 1, "no anchor &nobody"),
            ("? [a]\n: b\n", 1, "a key cannot be a list"),
            ("a: {<<: 3}\n", 1, "merges mappings only"),
            ("[" * 20_000, 1, "nested more than 50 deep"),
            ("a: " + "{a: " * 5_000, 1, "nested more than 50 deep"),
            ("- " * 5_000, 1, "nested more than 50 deep"),
        ],
    )
    def test_one_sentence(self, write: Write, text: str, line: int | None, words: str) -> None:
        path = write(text)
        (message,) = refused(path)
        assert message.startswith(f"{path}:" if line is None else f"{path}:{line}: "), message
        assert words.lower().replace("control characters", "not allowed") in message.lower()
        assert message.count("\n") == 0

    def test_duplicate_keys_are_told_together_with_their_places(self, write: Write) -> None:
        _, log = read(write("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n"))
        told = [(p.line, p.key) for p in log.problems]
        assert told == [(4, "b.c"), (5, "a")]
        assert "line 3" in log.problems[0].message

    @pytest.mark.parametrize(
        "value", ["!!python/object/apply:os.system [echo hi]", "!thing x", "!!set {a, b}"]
    )
    def test_tags_build_nothing(self, write: Write, value: str) -> None:
        _, log = read(write(f"x: 1\na: {value}\n"))
        assert [p.line for p in log.problems] == [2]
        assert "tag" in log.problems[0].message

    @pytest.mark.parametrize("value", ["0b_", "0x" + "f" * 400, "!!int zz", "9" * 5000])
    def test_numbers_that_are_none(self, write: Write, value: str) -> None:
        _, log = read(write(f"a: {value}\n"))
        assert ["expected a number" in p.message for p in log.problems] == [True]

    def test_aliases_that_explode(self, write: Write) -> None:
        lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
        for above, here in zip("abcdefgh", "bcdefghi", strict=True):
            lines.append(f"{here}: &{here} [{', '.join([f'*{above}'] * 10)}]")
        (message,) = refused(write("\n".join(lines)))
        assert "aliases unfolded" in message

    def test_aliases_that_nest(self, write: Write) -> None:
        lines = ["a0: &a0 [1]"]
        for number in range(1, 400):
            lines.append(f"a{number}: &a{number} [*a{number - 1}]")
        (message,) = refused(write("\n".join(lines)))
        assert "nested more than 50 deep" in message


class TestBytes:
    def test_windows_line_ends_and_a_bom_read_like_none(self, tmp_path: Path) -> None:
        path = tmp_path / "sweep.yaml"
        path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb:\r\n  c: 1e-3\r\n")
        node, log = read(path)
        assert node.plain() == {"a": 1, "b": {"c": 1e-3}}
        assert node.value["b"].key_lines == {"c": 3}
        assert not log.problems

    def test_utf16(self, tmp_path: Path) -> None:
        path = tmp_path / "sweep.yaml"
        path.write_bytes("a: ü\n".encode("utf-16"))
        assert read(path)[0].plain() == {"a": "ü"}

    @pytest.mark.parametrize("raw", [b"a: 1\nb: \xff\xfe\n", b"\xff\xfea"])
    def test_other_bytes(self, tmp_path: Path, raw: bytes) -> None:
        path = tmp_path / "sweep.yaml"
        path.write_bytes(raw)
        (message,) = refused(path)
        assert "UTF-8" in message

    def test_a_huge_file(self, tmp_path: Path) -> None:
        path = tmp_path / "sweep.yaml"
        path.write_bytes(b"a: 1\n" * (MAX_BYTES // 5 + 1))
        (message,) = refused(path)
        assert "larger than 5 MB" in message

    def test_no_file_and_a_folder(self, tmp_path: Path) -> None:
        for path in (tmp_path / "none.yaml", tmp_path):
            with pytest.raises(UsageError) as caught:
                read(path)
            assert caught.value.exit_code == 2
            assert str(caught.value).startswith(f"{path}: cannot read the sweep file")


class TestCommandLineValues:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("1e-4", 1e-4),
            ("[1e-4, 3e-4]", [1e-4, 3e-4]),
            ("", None),
            ("'1'", "1"),
            (">= 0.98", ">= 0.98"),
            ("<0.1", "<0.1"),
        ],
    )
    def test_value(self, text: str, value: Any) -> None:
        node = read_value(text, "--set", Log())
        assert node.plain() == value
        assert (node.line, node.origin) == (None, "--set")

    @pytest.mark.parametrize("text", ["[1", "*/", "\ud800", "a: b: c"])
    def test_refused(self, text: str) -> None:
        with pytest.raises(SpecError, match="--set"):
            read_value(text, "--set", Log())


WORDS = st.sampled_from(
    ["trainer: sweep_toy", "parameters:", "  lr:", "    values: [1e-3, ", "fixed: {", "}", "&a",
     "*a", "<<: *a", "trials:", "\t", "metric: ", "? ", "- ", "!!int ", "|", ">", "'", '"', "min: ",
     "max: ", "run_cap: ", "stages: ", "set: ", "targets: ", ".nan", "1e999", "0x", "\r\n",
     "\ufeff"]
)  # fmt: skip


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.text(),
        st.lists(WORDS | st.text(max_size=4), max_size=25).map("\n".join),
        st.lists(WORDS | st.text(max_size=4), max_size=25).map("".join),
    )
)
def test_no_text_gives_a_traceback(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fuzz.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    error = refusal(path)
    if error is not None:
        assert error.exit_code == 2
        assert str(error).startswith(str(path))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_no_bytes_give_a_traceback(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "fuzz.yaml"
    path.write_bytes(b"trainer: sweep_toy\n" + raw)
    error = refusal(path)
    assert error is None or error.exit_code == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=10,
)  # fmt: skip
KEYS = st.sampled_from(
    ["trainer", "program", "parameters", "trials", "fixed", "metric", "stages", "targets", "args",
     "metrics", "resources", "seed", "run_cap", "method", "name", "pruner", "outputs", "python"]
)  # fmt: skip
BLOCKS = st.dictionaries(
    st.sampled_from(["value", "values", "min", "max", "q", "distribution"]),
    JSON | st.sampled_from(["uniform", "q_uniform", "int_uniform", "log_uniform_values"]),
)
PARAMETERS = st.dictionaries(st.sampled_from(["lr", "epochs", "preset", "amp", "x"]), BLOCKS)


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(KEYS, JSON, max_size=6),
    st.none() | PARAMETERS,
    st.sampled_from(["sweep_toy", "edc", None]),
    st.sampled_from(["grid", "random", "bayes"]),
)
def test_no_content_gives_a_traceback(
    tmp_path: Path, content: dict[str, Any], parameters: Any, trainer: Any, method: str
) -> None:
    path = tmp_path / "fuzz.yaml"
    whole = {"trainer": trainer, "method": method, **content}
    if parameters is not None:
        whole["parameters"] = parameters
    path.write_bytes(yaml.safe_dump(whole, allow_unicode=True).encode("utf-8", "surrogatepass"))
    error = refusal(path)
    assert error is None or error.exit_code == 2


EXPONENT = re.compile(r"[-+.0-9_]+[eE][-+]?[0-9]+").fullmatch


@pytest.mark.slow
@settings(max_examples=200)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**900), 2**900)
            | st.floats(allow_nan=False)
            # PyYAML writes the text 1e5 without quotes, since it would not read a number there.
            | st.text(st.characters(codec="ascii"), max_size=8).filter(lambda s: not EXPONENT(s)),
            lambda inner: st.lists(inner, max_size=4),
            max_leaves=8,
        ),
        min_size=1,
    )
)  # fmt: skip
def test_what_pyyaml_writes_is_read_back(content: dict[str, Any]) -> None:
    log = Log()
    node = read_value(yaml.safe_dump({"key": content}), "f", log)
    assert node.plain() == {"key": content}
    assert not log.problems


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("[no, Off, true, False, 'on', y]", ["no is read as false", "Off is read as false"]),
        ("[010, '010', 0, 00, 07, 08, 0x10]", ["010 is read as 8, in base 8"]),
        ("[1:30, 1:30.5, '1:30']", ["1:30 is read as 90,", "1:30.5 is read as 90.5,"]),
    ],
)
def test_words_that_yaml_reads_otherwise_are_warned_of(
    text: str, warnings: list[str], write: Write
) -> None:
    path = write(f"parameters: {{a: {{values: {text}}}}}\nablate: {{keep_improvements: yes}}\n")
    log = Log()
    read_file(path, log)
    found = [warning.message for warning in log.warnings]
    assert len(found) == len(warnings), found
    assert all(one.startswith(head) for one, head in zip(found, warnings, strict=True)), found
