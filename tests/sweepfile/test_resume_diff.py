from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.resume_diff import differences

Write = Callable[[str], Path]

TEXT = """\
trainer: sweep_toy
seed: 1
fixed: {epochs: 3, clip: 2.0}
parameters:
  lr: {values: [0.1, 0.2]}
  weight: {value: 1}
trials:
  a: {set: {model: lstm}}
  b: {set: {model: hybrid}, note: second}
run_cap: 4
targets: {mae: "< 1"}
description: words
resources: {gpu_memory: 8GB}
"""


def changes(write: Write, before: str, after: str, *overrides: str) -> list[str]:
    old = json.loads(json.dumps(load_spec(write(before)).to_dict()))
    new = load_spec(write(after), overrides=overrides).to_dict()
    return differences(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("run_cap: 4\n", "run_cap: 9\n"),
        ("run_cap: 4\n", ""),
        ('targets: {mae: "< 1"}\n', 'targets: {r2: "> 0.9"}\n'),
        ("description: words\n", ""),
        ("{epochs: 3, clip: 2.0}", "{clip: 2, epochs: 3}"),
        ("  weight: {value: 1}\n", "  weight: {value: 1.0}\n"),
        (
            "  lr: {values: [0.1, 0.2]}\n  weight: {value: 1}\n",
            "  weight: {value: 1}\n  lr: {values: [0.1, 0.2]}\n",
        ),
    ],
)
def test_what_may_change(write: Write, old: str, new: str) -> None:
    assert old in TEXT
    assert changes(write, TEXT, TEXT.replace(old, new)) == []


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("seed: 1\n", "seed: 2\n", ["seed: was 1, is 2"]),
        ("epochs: 3", "epochs: 4", ["fixed.epochs: was 3, is 4"]),
        ("epochs: 3", "epochs: 3, amp: true", ["fixed.amp: was not set, is true"]),
        ("clip: 2.0", "clip: null", ["fixed.clip: was 2.0, is null"]),
        ("epochs: 3, ", "", ["fixed.epochs: was 3, is not set"]),
        ("[0.1, 0.2]", "[0.1, 0.3]", ["parameters.lr.values: was [0.1, 0.2], is [0.1, 0.3]"]),
        (
            "  weight: {value: 1}\n",
            "",
            ["parameters.weight: was {distribution: constant, values: [1]}, is not set"],
        ),
        ("{model: lstm}", "{}", ["trials.a.set.model: was lstm, is not set"]),
        ("8GB", "9GB", ["resources.gpu_memory (bytes): was 8589934592, is 9663676416"]),
        ("run_cap: 4\n", "pruner: median\n", ["pruner: was none, is median"]),
    ],
)
def test_what_may_not(write: Write, old: str, new: str, lines: list[str]) -> None:
    assert old in TEXT
    assert changes(write, TEXT, TEXT.replace(old, new)) == lines


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[0.1, 0.2]", "[0.2, 0.1]"),
        ("[0.1, 0.2]", "[0.3, 2e-1, 1e-1]"),
        (
            "  a: {set: {model: lstm}}\n  b: {set: {model: hybrid}, note: second}\n",
            "  c: {}\n  b: {set: {model: hybrid}}\n  a: {set: {model: lstm}}\n",
        ),
    ],
)
def test_a_grid_may_get_more_and_another_order(write: Write, old: str, new: str) -> None:
    assert changes(write, TEXT, TEXT.replace(old, new)) == []


def test_trials_that_are_known_by_their_numbers_keep_their_order(write: Write) -> None:
    text = TEXT.replace("seed: 1\n", "seed: 1\nmethod: random\n")
    changed = text.replace("[0.1, 0.2]", "[0.2, 0.1]")
    assert changes(write, text, changed) == ["parameters.lr.values: was [0.1, 0.2], is [0.2, 0.1]"]


def test_the_command_line_counts(write: Write) -> None:
    assert changes(write, TEXT, TEXT, "amp=true") == ["overrides.amp: was not set, is true"]
    assert changes(write, TEXT, TEXT, "run_cap=1") == []


def test_a_moved_folder_is_no_difference(tmp_path: Path) -> None:
    saved = []
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "train.py").write_text("")
        (folder / "s.yaml").write_text("name: s\nprogram: train.py\n")
        saved.append(load_spec(folder / "s.yaml").to_dict())
    assert differences(*saved) == []
    (tmp_path / "there" / "s.yaml").write_text("name: s\nprogram: other.py\n")
    saved[1] = load_spec(tmp_path / "there" / "s.yaml").to_dict()
    assert differences(*saved) == ["program.path: was train.py, is other.py"]


def test_a_key_that_an_older_release_did_not_save_is_none() -> None:
    assert differences({"name": "s"}, {"name": "s", "stage": None, "trials": {}}) == []


VALUES = st.dictionaries(
    st.sampled_from("abc"), st.none() | st.booleans() | st.integers(0, 2) | st.text("x", max_size=1)
)


@given(VALUES, VALUES)
def test_there_is_a_difference_exactly_where_values_differ(
    old: dict[str, object], new: dict[str, object]
) -> None:
    same = repr(sorted(old.items())) == repr(sorted(new.items()))
    assert (differences({"fixed": old}, {"fixed": new}) == []) is same


def test_words_about_a_trial_may_change() -> None:
    def spec(note: str) -> dict[str, Any]:
        trial = {"set": {"lr": 0.1}, "note": note, "risk": note, "expect": {"mae": note}}
        return {"name": "s", "trials": {"a": trial}}

    assert differences(spec("safe"), spec("less safe")) == []


COURSE = """\
trainer: sweep_toy
metric: val_mae
seeds: 2
stages:
  quick: {set: {epochs: 2}, promote: {top: 3}}
  full: {set: {epochs: 9}}
parameters: {lr: {values: [0.1, 0.2]}}
targets: {good: {mae: "< 1"}}
expect: {val_mae@3: "< 1"}
reference: {paper: {mae: 1}}
success: all complete
budget: {hours: 3}
divergence: {plateau: stop}
lr_schedule: {constant: {lr: 1}}
"""
ABLATE = """\
trainer: sweep_toy
metric: val_mae
ablate:
  baseline: {set: {clip: null}}
  gate: val_mae < 1
  changes:
    a: {set: {lr: 0.1}, gate: stable}
    b: {set: {amp: true}}
"""

KEEPING = ABLATE.replace("  gate: val", "  keep_improvements: true\n  gate: val")
ZIPPED = """\
trainer: sweep_toy
parameters: {lr: {values: [0.1, 0.2]}, weight: {values: [1, 2]}}
zip: [lr, weight]
"""


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (ABLATE, "    a: {set: {lr: 0.1}, gate: stable}\n    b: {set: {amp: true}}\n",
         "    c: {set: {lr: 5}}\n    b: {set: {amp: true}}\n    a: {set: {lr: 0.1}}\n"),
        (KEEPING, "{amp: true}}", "{amp: true}}\n    c: {set: {lr: 5}}"),
        (COURSE, "[0.1, 0.2]", "[0.3, 2e-1, 1e-1]"),
        (ZIPPED, "0.1, 0.2]}, weight: {values: [1, 2]",
         "5, 0.2, 0.1]}, weight: {values: [7, 2, 1]"),
        (COURSE, "{top: 3}", "{fraction: 0.5, if: stable}"),
        (COURSE, 'targets: {good: {mae: "< 1"}}\n', 'targets: {mae: "< 3"}\n'),
        (COURSE, "expect: {val_mae@3:", "expect: {val_mae@4:"),
        (COURSE, "reference: {paper: {mae: 1}}\n", ""),
        (COURSE, "all complete", "any mae < 1"),
        (COURSE, "{hours: 3}", "{gpu_hours: 5, failures: 2}"),
        (COURSE, "divergence: {plateau: stop}", "divergence: {}"),
        (COURSE, "lr_schedule: {constant: {lr: 1}}\n", ""),
        (ABLATE, "  gate: val_mae < 1\n", "  gate: val_mae < 2\n"),
        (ABLATE, "gate: stable", "gate: complete, note: words"),
        (ABLATE.replace("ablate:", "remedy: {rising: {set: {lr: 1}}}\nfixed:").split("  base")[0],
         "{lr: 1}", "{lr: [1, 2]}"),
    ],
)  # fmt: skip
def test_what_is_to_come_may_change(write: Write, text: str, old: str, new: str) -> None:
    assert old in text
    assert changes(write, text, text.replace(old, new)) == []


@pytest.mark.parametrize(
    ("text", "old", "new", "lines"),
    [
        (ZIPPED, "0.1, 0.2", "0.2, 0.1",
         ["parameters.lr.values: was [0.1, 0.2], is [0.2, 0.1]"]),
        (COURSE, "seeds: 2", "seeds: 3", ["seeds: was [0, 1], is [0, 1, 2]"]),
        (COURSE, "epochs: 9", "epochs: 8", ["stages.full.set.epochs: was 9, is 8"]),
        (COURSE, "epochs: 9}}", "epochs: 9}, continue: true}",
         ["stages.full.continue: was false, is true"]),
        (COURSE, "seeds: 2\n", "", ["seeds: was [0, 1], is not set"]),
        (ABLATE, "lr: 0.1", "lr: 0.2", ["ablate.changes.a.set.lr: was 0.1, is 0.2"]),
        (ABLATE, "clip: null", "clip: 1", ["ablate.baseline.clip: was null, is 1"]),
        (ABLATE, "  gate: val", "  keep_improvements: true\n  gate: val",
         ["ablate.keep_improvements: was false, is true"]),
        (KEEPING, "    a: {set: {lr: 0.1}, gate: stable}\n    b: {set: {amp: true}}\n",
         "    b: {set: {amp: true}}\n    a: {set: {lr: 0.1}, gate: stable}\n",
         ["ablate.changes: their order was [a, b], is [b, a]"]),
        (KEEPING, "    b: {", "    c: {set: {lr: 5}}\n    b: {",
         ["ablate.changes.c: was not set, is {set: {lr: 5}}"]),
        (ABLATE, "    b: {set: {amp: true}}\n", "",
         ["ablate.changes.b: was {set: {amp: true}}, is not set"]),
    ],
)  # fmt: skip
def test_what_configs_are_may_not(
    write: Write, text: str, old: str, new: str, lines: list[str]
) -> None:
    assert old in text
    assert changes(write, text, text.replace(old, new)) == lines


def test_a_stage_by_itself_is_another_sweep_than_all(write: Write) -> None:
    path = write(COURSE)
    whole, quick = (load_spec(path, stage=name).to_dict() for name in (None, "quick"))
    assert any(line.startswith("stage: ") for line in differences(whole, quick))
    assert differences(quick, whole) == [], "the first stage may be followed by the others"
    changed = write(COURSE.replace("epochs: 9", "epochs: 8"))
    assert differences(quick, load_spec(changed, stage="quick").to_dict()) == []


BEFORE = Path(__file__).parent / "spec_before_stages.json"


def test_a_folder_of_an_older_release_goes_on(write: Write) -> None:
    """What `Spec.to_dict` wrote before a file could hold stages, ablations, seeds and so on."""
    before = json.loads(BEFORE.read_text())
    spec = load_spec(write(OLD))
    assert not spec.to_dict().keys() <= before.keys()
    assert differences(before, spec.to_dict()) == []
    later = load_spec(write(OLD + "budget: {hours: 3}\nsuccess: all complete\n"))
    assert differences(before, later.to_dict()) == []
    seeded = load_spec(write(OLD.replace("seed: 3", "seeds: 2"))).to_dict()
    assert "seeds: was not set, is [0, 1]" in differences(before, seeded)


OLD = """\
trainer: edc
name: s
metric: {name: val_mae, target: 0.01}
seed: 3
fixed: {dropout: 0.1}
parameters: {lr: {values: [1.0e-3, 1.0e-4]}}
trials: {a: {set: {precision: 16}, note: n}}
stages: {quick: {set: {epochs: 2}}, full: {set: {epochs: 5}}}
targets: {mae: "< 0.1"}
run_cap: 2
"""


@pytest.mark.parametrize(
    ("old", "new", "is_more"),
    [
        ("{min: 0.1, max: 0.3, q: 0.1}", "{min: 0.1, max: 0.4, q: 0.1}", True),
        ("{min: 0.1, max: 0.3, q: 0.1}", "{min: 0.05, max: 0.3, q: 0.05}", True),
        ("{min: 0.1, max: 0.3, q: 0.1}", "{values: [0.3, 0.2, 0.1]}", True),
        ("{min: 0.1, max: 0.3, q: 0.1}", "{min: 0.15, max: 0.4, q: 0.1}", False),
        ("{min: 1, max: 2}", "{values: [3, 2, 1]}", True),
        ("{min: 1, max: 2}", "{min: 0, max: 4000000000}", True),
        ("{values: [1, 2]}", "{min: 1, max: 4000000000}", False),
        ("{values: [1, 2]}", "{min: 1, max: 40}", True),
        ("{value: 1}", "{values: [2, 1]}", True),
        ("{values: [1, 2]}", "{values: [1.0, 2.0]}", False),
        ("{values: [1, 2]}", "{values: [1, 1.0, 2]}", True),
        ("{values: [a, b], when: c == 1}", "{values: [a, b, d], when: c == 1}", True),
        ("{values: [a, b], when: c == 1}", "{values: [a, b, d], when: c == 2}", False),
    ],
)
def test_a_grid_may_get_more_however_its_values_are_written(
    old: str, new: str, is_more: bool, write: Write
) -> None:
    text = "program: env\nmetric: x\nparameters: {c: {values: [1, 2]}, a: OLD}\n"
    found = changes(write, text.replace("OLD", old), text.replace("OLD", new))
    assert (not found) is is_more, found


def test_text_that_looks_like_a_number_is_in_quotes(write: Write) -> None:
    text = "program: env\nmetric: x\nparameters: {a: {values: [0.1, true, b]}}\n"
    other = text.replace("[0.1, true, b]", "['0.1', 'true', b]")
    line = "parameters.a.values: was [0.1, true, b], is ['0.1', 'true', b]"
    assert changes(write, text, other) == [line]
