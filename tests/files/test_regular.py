"""Opening the files of a run that a stranger may have made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.files import atomic, jsonl, regular


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    (made / "inside.txt").write_text("inside")
    (tmp_path / "secret.txt").write_text("private key")
    return made


def test_a_regular_file_is_read_also_through_a_link_within_the_folder(folder: Path) -> None:
    (folder / "link").symlink_to("inside.txt")
    assert regular.read_bytes(folder / "inside.txt", folder) == b"inside"
    assert regular.read_bytes(folder / "link", folder) == b"inside"
    (folder.parent / "other").symlink_to(folder)
    assert regular.read_bytes(folder.parent / "other" / "link", folder.parent / "other")


@pytest.mark.parametrize("target", ["../secret.txt", "/etc/passwd", "hop", "loop"])
def test_a_link_that_leads_out_is_refused(folder: Path, target: str) -> None:
    (folder / "hop").symlink_to("../secret.txt")
    (folder / "loop").symlink_to("loop")
    (folder / "link").symlink_to(target)
    with pytest.raises(OSError, match=r"leads out|symbolic links"):
        regular.read_bytes(folder / "link", folder)


def test_a_folder_that_leads_out_is_refused(folder: Path) -> None:
    (folder / "files").symlink_to(folder.parent)
    with pytest.raises(OSError, match="leads out"):
        regular.read_bytes(folder / "files" / "secret.txt", folder)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("reader", [atomic.read_json, jsonl.read_last, jsonl.read])
def test_a_pipe_a_device_and_a_folder_are_not_opened(folder: Path, reader: object) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", "."):
        with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
            regular.open_file(folder / name)
        assert not reader(folder / name)  # type: ignore[operator]


def test_the_size_is_bounded(folder: Path) -> None:
    with (folder / "large").open("wb") as stream:
        stream.truncate(3 << 20)  # sparse
    assert len(regular.read_bytes(folder / "large", most=3 << 20)) == 3 << 20
    with pytest.raises(OSError, match="larger than 2 MiB"):
        regular.read_bytes(folder / "large", most=2 << 20)
