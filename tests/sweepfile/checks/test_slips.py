"""Slips of the keyboard and contradictions in a sweep file: what `sweep check` answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import SpecError
from orchestrator.sweepfile.load import load_spec

SCRIPT = """
import argparse
p = argparse.ArgumentParser()
p.add_argument('--lr', type=float)
p.add_argument('--epochs', type=int)
print(p.parse_args())
"""
LR = "parameters: {lr: {values: [0.1, 0.2, 0.3]}}\n"


def answers(folder: Path, text: str, *overrides: str) -> list[str]:
    """Return the warnings of a file, or its mistakes; each with its place."""
    (folder / "p.py").write_text(SCRIPT)
    (folder / "s.yaml").write_text(f"program: p.py\nargs: auto\nmetric: val_loss\n{text}")
    try:
        found = list(load_spec(folder / "s.yaml", overrides=overrides).warnings)
    except SpecError as error:
        found = list(map(str, error.problems))
    return [each.replace(f"{folder}/", "") for each in found]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("parameters:\nlr:\n  values: [1.0]\n", "s.yaml:5: lr: unknown key. It looks like a "
         "parameter: indent it under parameters."),
        ("parameters:\n  lr: {values: 1, 2, 3}\n", "s.yaml:5: parameters.lr.2: unknown key. "
         "Write values: [1, 2, 3]."),
        ("parameters:\n  lr:{values: [1.0]}\n", "s.yaml:5: not YAML: did not find expected key. "
         "Write a space after the colon."),
        ("parameters:\n    lr: {value: 1.0}\n  epochs: {value: 2}\n", "s.yaml:6: not YAML: did "
         "not find expected key. It is indented by 2 spaces, the line above by 4: keys of one "
         "mapping start in the same column."),
        (f"{LR}constraints:\n  - lr << 1\n  - {{forbids: lr < 4}}\n", "s.yaml:7: "
         "constraints.1.forbids: unknown key. Did you mean 'forbid'?"),
        (f"{LR}constraints:\n  - lr << 1\n  - {{reason: why}}\n", "s.yaml:7: constraints.1: "
         "needs one of require and forbid (found neither)."),
        (f"{LR}pruner: {{nam: median}}\n", "s.yaml:5: pruner: expected a name, or a mapping such "
         "as {name: wilcoxon} (found a mapping). Did you mean 'name' by 'nam'?"),
        (f"{LR}stages:\n  a: {{promote: {{if: stabel}}}}\n  b: {{}}\n", "s.yaml:6: "
         "stages.a.promote.if: expected a condition such as 'stable' or 'val_loss < 4' (found "
         "'stabel'). As a condition: expected a comparison after stabel (found the end). Did you "
         "mean 'stable'?"),
        ("parameters: {learning_rate: {values: [0.1]}}\n", "s.yaml:4: parameters.learning_rate: "
         "p.py has no option --learning_rate. Did you mean 'lr'? Or, if that is intended, write "
         "unused: true at the top level."),
        ("parameters: {zzz: {values: [0.1]}}\n", "s.yaml:4: parameters.zzz: p.py has no option "
         "--zzz. It has --epochs, --lr. Or, if that is intended, write unused: true at the top "
         "level."),
        (f"fixed: {{lr: 1}}\n{LR}", "warning: s.yaml:4: fixed.lr: has no effect, since the values "
         "of parameters.lr win. Remove one."),
        (f"{LR}presets: {{small: {{targets: {{val_loss: <= 3}}}}}}\n", "warning: s.yaml:5: presets"
         ": have no effect, since only a trainer has presets. Remove them."),
        (f"{LR}stages:\n  a: {{promote: {{top: 4}}}}\n  b: {{}}\n", "warning: s.yaml:6: "
         "stages.a.promote.top: promotes all, since the stage has 3 configs."),
        ("extends: missing.yaml\n", "s.yaml:4: extends: cannot read 'missing.yaml': No such file "
         "or directory."),
    ],
)  # fmt: skip
def test_an_answer_shows_what_was_meant(tmp_path: Path, text: str, answer: str) -> None:
    assert answer.removeprefix("warning: ") in answers(tmp_path, text)


def test_a_missing_base_is_the_only_mistake(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("extends: missing.yaml\n")
    with pytest.raises(SpecError) as caught:
        load_spec(tmp_path / "s.yaml")
    assert [problem.key for problem in caught.value.problems] == ["extends"]


def test_a_mistake_of_set_is_reported_there(tmp_path: Path) -> None:
    assert answers(tmp_path, LR, "lrr=3")[0].startswith("--set: lrr: p.py has no option --lrr.")


@pytest.mark.parametrize(
    "text",
    [
        f"{LR}stages:\n  a: {{promote: {{top: 3}}}}\n  b: {{}}\n",
        f"{LR}seeds: 2\nstages:\n  a: {{promote: {{top: 3}}}}\n  b: {{}}\n",
        "fixed: {lr: 1}\nparameters: {epochs: {values: [1, 2]}, "
        "lr: {values: [2], when: epochs == 1}}\n",
    ],
)
def test_what_has_an_effect_gets_no_warning(tmp_path: Path, text: str) -> None:
    assert not [each for each in answers(tmp_path, text) if "effect" in each or "all," in each]


def test_a_file_may_vary_what_the_one_it_extends_fixes(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("fixed: {lr: 1}\n")
    assert not answers(tmp_path, f"extends: base.yaml\n{LR}")
