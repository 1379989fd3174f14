"""The simulator of large clusters; its figures are in docs/cluster.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scale import Simulation


@pytest.fixture(autouse=True)
def _own_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEP_LEASES", str(tmp_path / "leases"))


def test_a_simulated_cluster_is_filled_and_runs_all_trials(tmp_path: Path) -> None:
    found = Simulation(10, 25, 3, tmp_path, method="random", pruner="median").run()
    assert found.at_once == 10  # two nodes, of eight GPUs and of two
    assert found.states.total() == 25
    assert set(found.states) <= {"COMPLETE", "PRUNED"}
    calls = found.cost.calls
    assert calls["start"] == calls["end"] == 25
    # A driver that is full does not look at all machines each time.
    assert calls["look"] >= found.simulated_s * 9
