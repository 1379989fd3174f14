from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator.engine.script.output_folder import OutputFolder, copy_outputs

CONFIG = {"t20_weight": 3.0}


class Watch:
    """One trial's view of a folder of experiments."""

    def __init__(self, base: Path, pattern: str = "experiments/*/") -> None:
        self.warnings: list[str] = []
        self.log = base / f"log-{id(self)}.txt"
        self.folder = OutputFolder(
            pattern, base, config=CONFIG, log=self.log, warn=self.warnings.append
        )

    def poll(self, pid: int = 0) -> str | None:
        path = self.folder.poll([pid])
        return path.name if path else None

    def settle(self, pid: int = 0) -> str | None:
        path = self.folder.settle([pid])
        return path.name if path else None


@pytest.fixture
def watches(tmp_path: Path) -> Iterator[list[Watch]]:
    made: list[Watch] = []
    yield made
    for watch in made:
        watch.folder.close()


def make(base: Path, name: str, metadata: dict[str, Any] | None = None, *, age_s: int = 0) -> Path:
    path = base / "experiments" / name
    path.mkdir(parents=True)
    if metadata is not None:
        (path / "metadata.json").write_text(json.dumps(metadata))
    if age_s:
        changed = path.stat().st_mtime - age_s
        os.utime(path, (changed, changed))
    return path


def test_the_new_folder_is_adopted_once(tmp_path: Path, watches: list[Watch]) -> None:
    make(tmp_path, "old")
    watch = Watch(tmp_path)
    watches.append(watch)
    assert watch.poll() is None
    path = make(tmp_path, "new")
    assert watch.poll() == "new"
    assert watch.poll() is None
    assert watch.folder.path == path
    assert watch.settle() == "new"
    assert watch.warnings == []


def test_no_folder_at_all(tmp_path: Path, watches: list[Watch]) -> None:
    watches.append(Watch(tmp_path))
    assert watches[0].poll() is None
    assert watches[0].settle() is None


def test_files_and_folders_inside_the_new_one_are_not_adopted(
    tmp_path: Path, watches: list[Watch]
) -> None:
    watches.append(Watch(tmp_path, "experiments/**/"))
    make(tmp_path, "run/checkpoints/best")
    (tmp_path / "experiments" / "notes.txt").touch()
    # "**" matches the base of the pattern as well, which is new here.
    assert watches[0].poll() == "experiments"
    watches.append(Watch(tmp_path, "experiments/**/"))
    make(tmp_path, "second/checkpoints/best")
    assert watches[1].poll() == "second"
    assert watches[1].warnings == []


def test_a_link_to_the_latest_run_is_that_run(tmp_path: Path, watches: list[Watch]) -> None:
    old = make(tmp_path, "old")
    watch = Watch(tmp_path)
    watches.append(watch)
    link = tmp_path / "experiments" / "latest"
    link.symlink_to(old)
    assert watch.poll() is None
    new = make(tmp_path, "new")
    link.unlink()
    link.symlink_to(new)
    assert watch.poll() == "new"
    assert watch.warnings == []


def test_an_absolute_pattern_counts_from_the_root(tmp_path: Path, watches: list[Watch]) -> None:
    watches.append(Watch(tmp_path / "elsewhere", str(tmp_path / "experiments" / "run_*")))
    make(tmp_path, "other")
    make(tmp_path, "run_1")
    assert watches[0].poll() == "run_1"


def test_several_new_folders_the_newest_is_taken_and_said(
    tmp_path: Path, watches: list[Watch]
) -> None:
    watches.append(Watch(tmp_path))
    make(tmp_path, "a")
    make(tmp_path, "b", age_s=60)
    assert watches[0].poll() == "a"
    (warning,) = watches[0].warnings
    assert "several new folders" in warning
    assert "took a" in warning
    assert "b" in warning


@pytest.mark.parametrize("evidence", ["pid", "output", "metadata"])
def test_evidence_tells_which_of_several_is_ours(
    tmp_path: Path, watches: list[Watch], evidence: str
) -> None:
    watch = Watch(tmp_path)
    watches.append(watch)
    right = {
        "pid": ("exp_20240512_48213", None),
        "output": ("exp_2", None),
        "metadata": ("exp_2", {"args": CONFIG}),
    }[evidence]
    make(tmp_path, right[0], right[1], age_s=60)
    wrong = {"args": {"t20_weight": 1.5}} if evidence == "metadata" else None
    make(tmp_path, "exp_20240512_51234", wrong)
    if evidence == "output":
        watch.log.write_text("writes experiments/exp_20\nsaving to experiments/exp_2\n")
    assert watch.poll(48213 if evidence == "pid" else 0) == right[0]
    assert watch.warnings == []


def test_two_trials_do_not_adopt_the_same_folder(tmp_path: Path, watches: list[Watch]) -> None:
    first, second = Watch(tmp_path), Watch(tmp_path)
    watches += [first, second]
    make(tmp_path, "a")
    assert first.poll() == "a"
    assert second.poll() is None
    make(tmp_path, "b")
    assert second.poll() == "b"
    assert first.settle() == "a"
    assert second.settle() == "b"
    assert first.warnings == second.warnings == []


def test_a_folder_that_another_trial_had_stays_that_trials(
    tmp_path: Path, watches: list[Watch]
) -> None:
    first, second = Watch(tmp_path), Watch(tmp_path)
    watches += [first, second]
    make(tmp_path, "a")
    assert first.poll() == "a"
    assert second.poll() is None
    first.folder.close()
    assert second.poll() is None
    assert second.settle() is None


def test_a_wrong_guess_is_mended_at_the_end(tmp_path: Path, watches: list[Watch]) -> None:
    # Two sweeps start at once; each sees the other's folder first.
    first, second = Watch(tmp_path), Watch(tmp_path)
    watches += [first, second]
    make(tmp_path, "exp_40002")
    assert first.poll(40001) == "exp_40002"
    assert second.poll(40002) == "exp_40002"
    make(tmp_path, "exp_40001")
    assert first.settle(40001) == "exp_40001"
    assert second.settle(40002) == "exp_40002"
    assert "but the script made exp_40001" in first.warnings[0]
    assert second.warnings == []


def test_a_guess_is_mended_also_where_the_own_folder_was_taken_first(
    tmp_path: Path, watches: list[Watch]
) -> None:
    # Neither name holds a process id, and what the scripts print comes late.
    first, second = Watch(tmp_path), Watch(tmp_path)
    watches += [first, second]
    make(tmp_path, "run_of_second")
    assert first.poll(345) == "run_of_second"
    assert second.poll(346) is None
    make(tmp_path, "run_of_first")
    assert second.poll(346) == "run_of_first"
    first.log.write_text("saving into experiments/run_of_first\n")
    second.log.write_text("saving into experiments/run_of_second\n")
    assert first.settle(345) == "run_of_first"
    assert second.settle(346) == "run_of_second"


def test_later_folders_do_not_change_the_choice(tmp_path: Path, watches: list[Watch]) -> None:
    watches.append(Watch(tmp_path))
    make(tmp_path, "a", {"args": {"t20_weight": 1.5}})
    assert watches[0].poll() == "a"
    make(tmp_path, "b", {"args": CONFIG})
    assert watches[0].settle() == "a"


def test_a_folder_that_vanished_is_replaced_or_missed(tmp_path: Path, watches: list[Watch]) -> None:
    watch = Watch(tmp_path)
    watches.append(watch)
    path = make(tmp_path, "a")
    assert watch.poll() == "a"
    shutil.rmtree(path)
    assert watch.settle() is None
    assert "gone" in watch.warnings[0]
    make(tmp_path, "b")
    assert watch.settle() == "b"


def test_a_new_folder_under_an_old_name_is_new(tmp_path: Path, watches: list[Watch]) -> None:
    old = make(tmp_path, "run")
    keep = make(tmp_path, "keep")
    watch = Watch(tmp_path)
    watches.append(watch)
    # Renamed, so that its inode is not given to the new one.
    old.rename(keep / "before")
    make(tmp_path, "run")
    assert watch.poll() == "run"


def test_outputs_are_copied_and_left_where_they_are(tmp_path: Path) -> None:
    folder, directory = make(tmp_path, "a", {"args": CONFIG}), tmp_path / "run"
    directory.mkdir()
    (directory / "metadata.json").write_text("{}")
    np.save(folder / "predictions.npy", np.arange(6.0))
    np.save(folder / "val_targets.npy", np.arange(3.0))
    (folder / "model.bin").touch()
    copy_outputs(folder, directory)
    assert np.array_equal(np.load(directory / "predictions.npy"), np.arange(6.0))
    assert json.loads((directory / "outputs_metadata.json").read_text()) == {"args": CONFIG}
    assert (directory / "metadata.json").read_text() == "{}"
    assert sorted(path.name for path in directory.iterdir()) == [
        "metadata.json",
        "outputs_metadata.json",
        "predictions.npy",
        "val_targets.npy",
    ]
    assert (folder / "predictions.npy").exists()


def test_a_script_that_writes_into_the_run_directory_keeps_its_files(tmp_path: Path) -> None:
    np.save(tmp_path / "predictions.npy", np.arange(6.0))
    copy_outputs(tmp_path, tmp_path)
    assert np.array_equal(np.load(tmp_path / "predictions.npy"), np.arange(6.0))
