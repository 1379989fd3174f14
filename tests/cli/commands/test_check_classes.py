"""`sweep check` makes a pruner of the user's own once, as a run would."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.running import sweep_in

PRUNER = """\
import optuna
class Limit(optuna.pruners.BasePruner):
    def __init__(self, limit=1.0): pass
    def prune(self, study, trial): return False
"""


@pytest.mark.parametrize(
    ("pruner", "message"),
    [
        ("{name: 'own_pruner:Limit', limit: 2}", "ok, 1 trial"),
        ("{name: 'own_pruner:Limit', limt: 2}", "unexpected keyword argument 'limt'"),
        ("{name: 'own_pruner:Limmit'}", "no class 'own_pruner:Limmit' can be imported"),
    ],
)
def test_a_class_and_its_arguments(pruner: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "own_pruner.py").write_text(PRUNER)
    (tmp_path / "p.py").write_text("print('val_loss:', 1)\n")
    (tmp_path / "s.yaml").write_text(f"program: p.py\nmetric: val_loss\npruner: {pruner}\n")
    done = sweep_in(tmp_path, "check", "s.yaml")
    assert message in done.stdout
    assert done.returncode == (0 if "ok" in message else 2)
