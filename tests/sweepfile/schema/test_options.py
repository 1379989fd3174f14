"""The keys that are records of their own: what they accept, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import SpecError
from orchestrator.sweepfile import differences, load_spec

HEAD = "trainer: edc\nparameters: {lr: {values: [0.1, 0.2]}}\n"
SCRIPT = "program: train.py\nparameters: {lr: {values: [0.1, 0.2]}}\nmetric: val_mae\n"
BY_DEFAULT = {"on": ["end", "failure", "divergence"], "timeout": 30}
PROGRAM = "import sys\nprint('val_mae=1', sys.argv)\n"


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("timeout: 2h", "timeout", 7200),
        ("timeout: 1h 30m", "timeout", 5400),
        ("retries: 0", "retries", 0),
        ("retries: 3", "retries", 3),
        ("keep: {best: 1, last: 0}", "keep", {"best": 1, "last": 0}),
        ("keep: {of: top 5}", "keep", {"of": 5}),
        ("keep: {of: ' top  12 '}", "keep", {"of": 12}),
        ("keep: {best: 0, of: all}", "keep", {"best": 0, "of": None}),
        ("notify: cat", "notify", {"command": "cat", **BY_DEFAULT}),
        ("notify: [cat, a b]", "notify", {"command": ["cat", "a b"], **BY_DEFAULT}),
        (
            "notify: {command: cat, on: [end], timeout: 2m}",
            "notify",
            {"command": "cat", "on": ["end"], "timeout": 120},
        ),
    ],
)
def test_what_they_accept(tmp_path: Path, text: str, name: str, value: Any) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(f"{HEAD}{text}\n")
    spec = load_spec(path)
    assert spec.options == {name: value}
    assert spec.to_dict()[name] == value
    path.write_text(HEAD)
    assert differences(load_spec(path).to_dict(), spec.to_dict()) == [], "it may change"


@pytest.mark.parametrize(
    ("head", "text", "message"),
    [
        (HEAD, "timeout: 90", "timeout: expected a duration above 0, such as 90s, 30m or 1h 30m"),
        (HEAD, "retries: -1", "retries: expected a whole number of at least 0 (found -1)"),
        (HEAD, "retries: true", "retries: expected a whole number"),
        (HEAD, "keep: {best: 3}", "A trial has one of them at most. Write 1."),
        (HEAD, "keep: {of: 5}", "(found 5). Write top 5."),
        (HEAD, "keep: {of: top 0}", "expected all, or the best so many, such as top 5"),
        (HEAD, "notify: {on: [end]}", "needs a command. Write notify: mail"),
        (HEAD, "notify: {command: cat, on: [ends]}", "Did you mean 'end'?"),
        (HEAD, "notify: 3", "notify: expected a command (found 3)"),
        (HEAD, "notify: [no_such_program]", "no program 'no_such_program' is found."),
        (HEAD, "notify: mail 'me", "Are its quotes in pairs?"),
        (HEAD, "notify: {command: cat, timeout: 3}", "expected a duration above 0"),
        (HEAD, "keep: 3", "expected a mapping such as {best: 1, last: 0, of: top 5}"),
        (HEAD, "keep: {}", "expected a mapping such as"),
        (HEAD, "keep: {bset: 1}", "Did you mean 'best'?"),
        (HEAD, "metric: [val_mae, val_r2]\nkeep: {of: top 2}", "found two metrics"),
        (SCRIPT, "keep: {of: top 2}", "needs a trainer, or a program whose resume has a"),
        (SCRIPT, "resume: --go\nkeep: {last: 0}", "needs a trainer, or a program whose"),
    ],
)
def test_what_they_refuse(tmp_path: Path, head: str, text: str, message: str) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    path = tmp_path / "sweep.yaml"
    path.write_text(f"{head}{text}\n")
    with pytest.raises(SpecError) as raised:
        load_spec(path)
    assert message in str(raised.value)
    assert len(raised.value.problems) == 1


def test_a_program_that_names_its_checkpoints_may_keep_the_best(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    path = tmp_path / "sweep.yaml"
    path.write_text(f"{SCRIPT}resume: {{args: --go, checkpoint: '*.pt'}}\nkeep: {{of: top 2}}\n")
    assert load_spec(path).options == {"keep": {"of": 2}}


@pytest.mark.parametrize(
    ("keep", "warns"),
    [
        ("last: 0", True),
        ("best: 1, last: 0", True),
        ("best: 0, last: 0", False),
        ("best: 0", False),
    ],
)
def test_a_program_without_its_last_checkpoints_has_none(
    tmp_path: Path, keep: str, warns: bool
) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    path = tmp_path / "sweep.yaml"
    path.write_text(f"{SCRIPT}resume: {{args: --go, checkpoint: '*.pt'}}\nkeep: {{{keep}}}\n")
    found = [text for text in load_spec(path).warnings if "keep.last: deletes all" in text]
    assert bool(found) is warns


PRESETS = """\
trainer: edc
fixed: {preset: small}
trials:
  a: {set: {lr: 0.1}, expect: {mae: 3}}
targets: {edt_mae: "<= 9"}
presets:
  small:
    targets: {mae: "<= 0.020"}
    trials: {a: {expect: {mae: 0.1 to 0.2}}}
  paper: {targets: {r2: ">= 0.99"}, resources: {gpu_memory: 8GB}}
"""


@pytest.mark.parametrize(
    ("old", "new", "overrides", "targets", "expected"),
    [
        ("", "", [], ["mae"], "0.1 to 0.2"),
        ("fixed: {preset: small}\n", "", [], ["mae"], "0.1 to 0.2"),  # the trainer's default
        ("", "", ["preset=paper"], ["r2"], 3),
        ("", "", ["fixed.preset=paper"], ["r2"], 3),
        ("", "", ["preset=paper", "targets.mae=< 1"], ["mae", "r2"], 3),
        ("  small:\n", "  paper:\n", [], ["edt_mae"], 3),
    ],
)
def test_a_preset_brings_its_expectations(
    tmp_path: Path, old: str, new: str, overrides: list[str], targets: list[str], expected: Any
) -> None:
    path = tmp_path / "sweep.yaml"
    text = PRESETS.replace(old, new) if old else PRESETS
    if new:
        text = text.rpartition("  paper: {")[0]
    path.write_text(text)
    spec = load_spec(path, overrides=overrides)
    assert sorted(spec.targets) == targets
    assert spec.trials["a"].expect == {"mae": expected}
    assert (spec.resources.gpu_memory_bytes is not None) == ("r2" in targets)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  paper: {",
            "  papper: {",
            "presets.papper: edc has no such preset. Did you",
        ),
        ('mae: "<= 0.020"', "mae: x", "targets.mae: expected a bound"),
        ('r2: ">= 0.99"', "r2: x", "presets.paper.targets.r2: expected a bound"),
        ("    targets:", "    tragets:", "presets.small.tragets: unknown key."),
    ],
)
def test_a_mistake_in_a_preset_is_reported_once(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(PRESETS.replace(old, new))
    with pytest.raises(SpecError) as raised:
        load_spec(path)
    assert message in str(raised.value)
    assert len(raised.value.problems) == 1
