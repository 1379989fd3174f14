"""Copying a checkpoint, on a file system with and without links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.engine.child.saving import copy_file


@pytest.mark.parametrize("has_links", [True, False])
def test_a_copy_replaces_the_target_whole(
    has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: object) -> None:
        raise OSError("no links here")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    source, target = tmp_path / "source.pt", tmp_path / "target.pt"
    source.write_bytes(b"new")
    target.write_bytes(b"the state before")
    copy_file(source, target)
    assert target.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.pt", "target.pt"]
    assert (source.stat().st_ino == target.stat().st_ino) is has_links
