"""Records that are found by looking into a package."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.files.discover import module_names, records


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    folder = tmp_path / "discovered_things"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "inner" / "__init__.py").write_text("THING = 'a package is no record'")
    (folder / "b.py").write_text("THING = 'b'")
    (folder / "a.py").write_text("THING = 'a'")
    (folder / "helper.py").write_text("OTHER = 1")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield folder.name
    for name in [name for name in sys.modules if name.startswith(folder.name)]:
        del sys.modules[name]


def test_every_module_with_the_attribute_is_found_in_order(package: str) -> None:
    assert list(records(package, "THING")) == ["a", "b"]


def test_names_are_known_without_loading(package: str) -> None:
    assert module_names(package) == ["a", "b", "helper"]
    assert f"{package}.a" not in sys.modules
