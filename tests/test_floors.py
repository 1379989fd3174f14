"""The architecture as tests: who may import whom, and what start-up may not load."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.analysis import made

ROOT = Path(__file__).parent.parent

FLOORS = [
    {"errors"},
    {"files"},
    {"divergence", "metrics"},
    {"sweepfile"},
    {"placement", "runs", "callbacks"},
    {"search", "analysis"},
    {"reporting"},
    {"engine"},
    {"cli"},
]
FLOOR_OF = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}

# Heavy or low-level packages and the only rooms that may import them.
GUARDED = {
    "ray": {"engine"},
    "optuna": {"search", "engine"},
    "click": {"cli"},
    "pynvml": {"placement"},
    "torch": {"engine"},
    "yaml": {"sweepfile"},
    "pandas": {"analysis"},
    "filelock": {"files"},
    "scipy": {"analysis"},
    "plotly": {"reporting"},
    "jinja2": {"reporting"},
    "rich": {"cli"},
    "starlette": {"reporting"},
    "uvicorn": {"reporting"},
    "pyroomacoustics": set(),
    "sklearn": set(),
}


@functools.cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            if node.module == "orchestrator":  # the names may be rooms
                for alias in node.names:
                    yield node.lineno, f"orchestrator.{alias.name}"
            else:
                yield node.lineno, node.module or ""


def is_package(name: str) -> bool:
    return (ROOT / Path(*name.split(".")) / "__init__.py").exists()


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT / "orchestrator").parts
    return parts[0] if len(parts) > 1 else parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules("orchestrator"), ids=lambda path: str(path.name))
def test_no_import_runs_upwards(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__", "__main__"):
        return
    for line, name in imports_of(path):
        where = f"{path.relative_to(ROOT)}:{line}"
        top, *rest = name.split(".")
        assert top != "trainers", f"{where}: orchestrator reaches trainers by name only"
        if top == "orchestrator" and rest and rest[0] not in (room, "__version__"):
            other = rest[0]
            assert FLOOR_OF[other] < FLOOR_OF[room], f"{where}: {room} may not import {other}"
            public = is_package(name) or other == "errors" or name.startswith("orchestrator.files.")
            assert public, f"{where}: import from the package, not from {name}"
        if top in GUARDED:
            assert room in GUARDED[top], f"{where}: {top} belongs to {sorted(GUARDED[top])}"
        if top == "pynvml":
            assert path.name == "nvml.py", f"{where}: NVML is read in placement/nvml.py"


@pytest.mark.parametrize("path", modules("trainers"), ids=lambda path: str(path.name))
def test_trainers_stand_on_their_own(path: Path) -> None:
    for line, name in imports_of(path):
        where = f"{path.relative_to(ROOT)}:{line}"
        top = name.split(".")[0]
        assert top != "orchestrator", f"{where}: a trainer knows only the Run it is handed"
        if path.name in ("config.py", "base.py", "__init__.py", "metrics.py", "acoustics.py"):
            assert top != "torch", f"{where}: this module is read without torch"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["status", "--results", "{results}"],
        ["status", "--results", "{results}", "--json"],
        ["compare", "{results}"],
        ["compare", "{results}", "--export", "csv"],
        ["compare", "{results}", "--json"],
        ["gpu"],
        ["plan", str(ROOT / "sweeps" / "edc_weights.yaml")],
    ],
    ids=lambda arguments: "-".join(word for word in arguments if word[0] not in "{/"),
)
def test_light_commands_load_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from orchestrator.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'ray', 'torch', 'optuna', 'pandas', 'scipy', 'pyroomacoustics', 'sklearn',\n"
        "         'plotly', 'jinja2', 'rich', 'starlette', 'uvicorn'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))\n"
    )
    trial = made.trial(made.sweep(tmp_path), 0)
    made.curves(trial.path, 1.1)
    made.curves(trial.path, 1.2, split="val")
    made.metadata(trial.path, data={"kind": "decay_curve", "rate_hz": made.RATE_HZ})
    filled = [argument.format(results=tmp_path) for argument in arguments]
    done = subprocess.run(
        [sys.executable, "-c", code, *filled], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout.rstrip().endswith("loaded: []"), done.stdout + done.stderr
    if arguments[0] == "compare":
        assert "t20_mae" in done.stdout, "the metrics of a trainer were not even reached"


PACKAGES = [path.parent for path in modules("orchestrator") if path.name == "__init__.py"]


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_public_names_are_there_and_hide_no_module(folder: Path) -> None:
    """A function named like a module of its package would be replaced by it upon import."""
    package = importlib.import_module(".".join(folder.relative_to(ROOT).parts))
    assert package.__doc__
    names = getattr(package, "__all__", [])
    for name in names:
        value = getattr(package, name)
        inside = (folder / f"{name}.py").exists() or (folder / name).is_dir()
        assert not inside or isinstance(value, ModuleType), f"{folder.name}: {name}"
    assert len(names) <= 12, f"{folder.name} exports {len(names)} names"


@pytest.mark.parametrize("path", modules("orchestrator"), ids=lambda path: str(path.name))
def test_only_public_names_are_imported_from_another_package(path: Path) -> None:
    """Packages load their names lazily, so a type checker does not see a name that is gone."""
    try:
        if path.stem != "__main__":  # which would run the command line
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    except ModuleNotFoundError as error:
        if str(error.name).startswith("orchestrator"):
            raise
        pytest.skip(f"{error.name} is not installed")
    own = path.relative_to(ROOT).parts[:2]
    for node in nodes_of(path):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(
            "orchestrator."
        ):
            continue
        module = str(node.module)
        if tuple(module.split(".")[:2]) == own or not is_package(module):
            continue
        package = importlib.import_module(module)
        for alias in node.names:
            is_module = (ROOT / Path(*module.split("."), f"{alias.name}.py")).exists()
            public = getattr(package, "__all__", dir(package))
            known = alias.name in public or is_module
            assert known, f"{path.relative_to(ROOT)}:{node.lineno}: {module} has no {alias.name}"


def test_no_folder_is_crowded_and_no_two_modules_share_a_name() -> None:
    folders: dict[Path, set[str]] = {}
    homes: dict[str, list[Path]] = {}
    for path in [*modules("orchestrator"), *modules("trainers")]:
        if path.name != "__init__.py":
            folders.setdefault(path.parent, set()).add(path.name)
            if path.parts[len(ROOT.parts)] == "orchestrator":
                homes.setdefault(path.name, []).append(path.parent)
        elif path.parent.parent != ROOT:
            folders.setdefault(path.parent.parent, set()).add(path.parent.name)
    crowded = {str(folder): len(names) for folder, names in folders.items() if len(names) > 12}
    crowded.pop(str(ROOT / "orchestrator"), None)  # `__main__.py` is the thirteenth
    assert not crowded
    for name, parents in homes.items():
        siblings = {parent.parent for parent in parents}
        assert len(parents) == 1 or len(siblings) == 1, f"{name}: {parents}"


def test_no_module_is_too_long() -> None:
    lengths = {path: path.read_text().count("\n") for path in modules("orchestrator")}
    assert not {str(path): length for path, length in lengths.items() if length > 350}


# Phrases that neither code nor documents may contain; CONTRIBUTING.md gives the usual ones.
DIALECT = re.compile(
    r"None where|must stand|but there is none|stands? (?:beside|next to|in the|on the)|one's own"
    r"|h[eo]lds? against|\b(?:goes|go) on (?:with|from|over)|\banew\b|somebody|what was asked"
    r"|in the midst|must be [^.]*, but got"
)


@pytest.mark.parametrize(
    "path",
    [*modules("orchestrator"), *modules("trainers")],
    ids=lambda path: str(path.name),
)
def test_texts_are_in_plain_english(path: Path) -> None:
    for node in nodes_of(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = DIALECT.search(node.value)
            assert not found, f"{path.relative_to(ROOT)}:{node.lineno}: {found.group()!r}"


SOURCES = ("orchestrator", "trainers", "tests", "benchmarks")
NAMED = re.compile(r"`~?((?:orchestrator|trainers|tests|benchmarks|ROOMS)(?:\.\w+)+)(?:\(\))?`")
PATHS = re.compile(r"`((?:[\w-]+/)+|(?:[\w-]+/)*\w+\.py)`")


def is_there(name: str) -> bool:
    """Return whether a dotted name is a module, or a name that a module defines."""
    parts = name.split(".")
    if parts[0] in FLOOR_OF:
        parts.insert(0, "orchestrator")
    for length in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:length])
        if path.is_dir() and length == len(parts):
            return True
        module = path / "__init__.pyi" if path.is_dir() else path.with_suffix(".py")
        if module.exists():
            text = module.read_text(encoding="utf-8")
            rest = parts[length:]
            return not rest or re.search(rf"\b{rest[0]}\b", text) is not None
    return False


def test_docstrings_name_modules_that_exist() -> None:
    rooms = "|".join(FLOOR_OF.keys() - {"metrics"})  # `metrics.files` is a key of sweep files
    named = re.compile(NAMED.pattern.replace("ROOMS", rooms))
    lost = []
    for folder in ("orchestrator", "trainers", "benchmarks"):
        for path in modules(folder):
            for node in nodes_of(path):
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                    text = str(node.value.value)
                    lost += [(path, name) for name in named.findall(text) if not is_there(name)]
                    lost += [(path, name) for name in PATHS.findall(text) if not is_found(name)]
    assert not lost


def is_found(path: str) -> bool:
    """Return whether a file or folder is in the repository; of a file, its name may suffice."""
    roots = (ROOT, *(ROOT / name for name in SOURCES))
    return any((root / path).exists() for root in roots) or path in file_names()


@functools.cache
def file_names() -> set[str]:
    return {path.name for folder in SOURCES for path in modules(folder)}


def test_the_page_on_the_architecture_matches_the_tree() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    lost = [name for name in PATHS.findall(page) if not is_found(name)]
    assert not lost
    drawing = page.split("## Packages and layers")[1].split("```")[1]
    names = [line[:35].split() for line in drawing.splitlines()]
    drawn = [set(line) - {"│", "trainers"} for line in names if set(line) - {"│", "trainers"}]
    assert drawn == FLOORS[::-1]
