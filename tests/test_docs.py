"""README and docs as tests: what they show is there, and what there is they show."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from orchestrator import errors
from orchestrator.analysis.measure.row import Comparison, Incomplete, Row
from orchestrator.analysis.status.sweep_status import SweepStatus
from orchestrator.analysis.status.trial_status import TrialStatus
from orchestrator.cli import app, command_modules
from orchestrator.divergence.symptoms import all_symptoms
from orchestrator.runs.layout import RunDir, SweepDir
from orchestrator.runs.records import SweepRecord, SweepState, TrialRecord, TrialState
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.schema.sweep import json_schema
from orchestrator.sweepfile.trainer_schemas import trainer_names
from tests.test_floors import DIALECT
from trainers.edc import metrics as edc_metrics

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
EXAMPLE = DOCS / "example"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "results" / "README.md"])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return [body for name, body in _FENCE.findall(text_of(page)) if name == language]


def command_of(name: str) -> click.Command:
    command = importlib.import_module(command_modules()[name]).command
    assert isinstance(command, click.Command)
    return command


def options_of(command: click.Command) -> list[click.Option]:
    return [item for item in command.params if isinstance(item, click.Option)]


def sweep_calls(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield command and arguments of every `sweep` line in the page's shell blocks."""
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["sweep"]:
                words = words[1 : words.index(">")] if ">" in words else words[1:]
                yield words[0], words[1:]


def spans(page: Path) -> Iterator[list[str]]:
    """Yield the words of every inline code span that begins with `sweep`."""
    prose = _FENCE.sub("", text_of(page))
    for span in re.findall(r"`(sweep [^`]+)`", prose.replace("\n", " ")):
        yield span.split()


# Commands ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", command_modules())
def test_each_command_has_a_section_with_all_its_options_and_no_others(name: str) -> None:
    sections = re.split(r"^## ", text_of(DOCS / "commands.md"), flags=re.MULTILINE)
    found = [part for part in sections if part.splitlines()[0] == f"sweep {name}"]
    assert len(found) == 1, f"docs/commands.md must have one section '## sweep {name}'"
    known = {word for option in options_of(command_of(name)) for word in option.opts}
    rows = [line for line in found[0].splitlines() if line.startswith("| `")]
    documented = {word for row in rows for word in re.findall(r"`(--?[a-z-]+)", row.split("|")[1])}
    assert documented == known


def test_the_readme_names_every_command() -> None:
    text = text_of(README)
    for name in command_modules():
        assert re.search(rf"\bsweep\s+{name}\b", text), f"README.md: `sweep {name}` is missing"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_calls_in_shell_blocks_are_accepted(page: Path) -> None:
    for name, arguments in sweep_calls(page):
        assert name in command_modules(), f"{page.name}: there is no command {name}"
        command_of(name).make_context(name, list(arguments))
        for word in arguments:
            if word.endswith(".yaml"):
                assert (ROOT / word).is_file(), f"{page.name}: there is no {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_prose_exist(page: Path) -> None:
    group = {word for option in options_of(app) for word in option.opts} | {"--help", "-h"}
    for words in spans(page):
        name = words[1]
        known = set(group)
        if name in command_modules():
            known |= {word for option in options_of(command_of(name)) for word in option.opts}
        used = {word.split("=")[0] for word in words if word.startswith("--")}
        assert used <= known, f"{page.name}: {' '.join(words)}"


# The two commands of the README ------------------------------------------------------------------


def marked(name: str) -> str:
    found = re.findall(
        rf"^<!-- command: {name} -->\n```sh\n(.*?)^```$", text_of(README), re.MULTILINE | re.DOTALL
    )
    assert len(found) == 1, f"README.md must hold one block after <!-- command: {name} -->"
    return str(found[0])


def test_the_readme_opens_with_the_two_commands() -> None:
    run, tests = marked("run"), marked("tests")
    for block in (run, tests):
        assert block.startswith("python3 -m venv .venv && . .venv/bin/activate\n")
        assert "pip install -c constraints.txt -e " in block
    assert run.splitlines()[-1].startswith("sweep run sweeps/")
    assert tests.splitlines()[-1] == "ruff check . && ruff format --check . && mypy && pytest"
    assert text_of(README).index(run) < text_of(README).index("\n## ")


def test_ci_runs_the_command_of_the_readme() -> None:
    script = text_of(ROOT / ".ci" / "run")
    line = next(line for line in script.splitlines() if line.startswith("command=$(awk"))
    done = subprocess.run(
        ["bash", "-c", f'{line}; printf "%s\\n" "$command"'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == marked("tests")


def test_the_lock_has_every_dependency_at_the_tested_version() -> None:
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    pins = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)
    locked, tested = (
        {name.lower().replace("_", "-"): version for name, version in pins.findall(text)}
        for text in (text_of(ROOT / "requirements.lock"), text_of(ROOT / "constraints.txt"))
    )
    wanted = {re.split(r"[\[<>=]", one)[0] for one in project["dependencies"]}
    assert wanted <= locked.keys()
    shared = locked.keys() & tested.keys()
    assert {name: locked[name] for name in shared} == {name: tested[name] for name in shared}
    assert "://" not in text_of(ROOT / "requirements.lock"), "no package comes from one place only"


# Links, paths, YAML ------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """Return the names under which GitHub links to the page's headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    for link in _LINK.findall(_FENCE.sub("", text_of(page))):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{page.name}: {link}"
        assert path.is_relative_to(ROOT), f"{page.name}: {link} leads out of the repository"
        if anchor:
            assert anchor in anchors(path), f"{page.name}: {link}"


def whole_files() -> list[tuple[Path, str]]:
    found = [(page, block) for page in PAGES for block in blocks(page, "yaml")]
    return [item for item in found if re.search(r"^(trainer|program):", item[1], re.MULTILINE)]


def test_there_are_sweep_files_in_the_readme() -> None:
    assert len([page for page, _ in whole_files() if page == README]) >= 2


@pytest.mark.parametrize(("page", "block"), whole_files(), ids=lambda value: str(value)[-20:])
def test_sweep_files_in_pages_are_good(page: Path, block: str, tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(block, encoding="utf-8")
    if re.search(r"^program: train_model.py", block, re.MULTILINE):
        shutil.copy(EXAMPLE / "train_model.py", tmp_path)
    spec = load_spec(path, need_program=True)
    assert spec.warnings == ()


def test_the_example_is_shown_as_it_is() -> None:
    block = next(block for _, block in whole_files() if "docs/example/sweep.yaml" in block)
    shown, real = (
        [line for line in text.splitlines() if not line.startswith("#")]
        for text in (block, text_of(EXAMPLE / "sweep.yaml"))
    )
    assert shown == real


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path) -> None:
    folder = tmp_path / "example"
    folder.mkdir()
    for name in ("train_model.py", "sweep.yaml"):
        shutil.copy(EXAMPLE / name, folder)
    sweep = [sys.executable, "-m", "orchestrator"]
    chosen = ["--set", "epochs=2", "--set", "learning_rate=1e-2", "--results", str(tmp_path)]
    done = subprocess.run(
        [*sweep, "run", str(folder / "sweep.yaml"), "--inline", *chosen],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ranked = subprocess.run(
        [*sweep, "compare", str(tmp_path / "own_script"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = json.loads(ranked.stdout)["rows"]
    assert sorted(row["config"]["layer_norm"] for row in rows) == [False, True]
    assert all(row["warnings"] == [] and row["metrics"]["val_mae"] > 0 for row in rows)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_are_in_plain_english(page: Path) -> None:
    spoken = re.compile(rf"{DIALECT.pattern}|\b(?:tells|told|says|said)\b", re.IGNORECASE)
    prose = re.sub(r'"[^"\n]*"', "", _FENCE.sub("", text_of(page)))  # without what it quotes
    found = [line for line in re.sub(r"`[^`]*`", "", prose).splitlines() if spoken.search(line)]
    assert not found, f"{page.name}: {found}"


@pytest.mark.parametrize(
    "path",
    [*PAGES, *sorted(EXAMPLE.glob("*.*")), *sorted((ROOT / "sweeps").glob("*.yaml"))],
    ids=lambda path: path.name,
)
def test_no_page_holds_paths_of_one_machine(path: Path) -> None:
    found = re.findall(r"(?<![\w.])/(?:work|tmp|root|home|Users|mnt)/\S*", text_of(path))
    assert not found, f"{path.name}: {found}"


# What there is, is described ---------------------------------------------------------------------


def is_named(name: str, text: str) -> bool:
    """Tell whether `text` names something in backticks, perhaps with what it belongs to."""
    return re.search(rf"`(?:[\w.]+\.)?{re.escape(name)}`", text) is not None


def schema_words(schema: Any) -> Iterator[str]:
    """Yield every key of the sweep file, and every word that one takes."""
    if isinstance(schema, list):
        for item in schema:
            yield from schema_words(item)
    if not isinstance(schema, dict):
        return
    for name, inner in schema.get("properties", {}).items():
        if isinstance(inner, dict) and not inner.get("deprecated"):
            yield name
            yield from schema_words(inner)
    yield from (word for word in schema.get("enum", []) if isinstance(word, str))
    for key in ("anyOf", "items", "additionalProperties"):
        yield from schema_words(schema.get(key))


def test_every_key_of_the_sweep_file_is_described() -> None:
    text = text_of(DOCS / "sweep-file.md")
    words = set(schema_words(json_schema()))
    assert {"parameters", "gpu_memory", "log_uniform_values", "hyperband", "pattern"} <= words
    words -= all_symptoms().keys()  # docs/divergence.md describes these
    missing = sorted(word for word in words if not is_named(word, text))
    assert not missing, f"docs/sweep-file.md does not name {missing}"


def undescribed_symptoms() -> list[str]:
    text = text_of(DOCS / "divergence.md")
    return [name for name in all_symptoms() if not is_named(name, text)]


def test_every_symptom_is_described() -> None:
    assert not undescribed_symptoms(), "docs/divergence.md needs a line for each of these"


def test_every_trainer_is_in_the_list_of_trainers() -> None:
    for name in trainer_names():
        assert f"| `{name}` |" in text_of(DOCS / "trainers.md"), f"docs/trainers.md: no {name}"
        assert f"| [`{name}`](docs/" in text_of(README), f"README.md: no {name}"


def keys_of(value: Any) -> set[str]:
    """Return every key of nested JSON."""
    if isinstance(value, list):
        return set().union(*map(keys_of, value))
    if isinstance(value, dict):
        return value.keys() | set().union(*map(keys_of, value.values()))
    return set()


def printed(*arguments: str) -> Any:
    """Return the JSON that a command prints."""
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code in (0, 3), done.output
    return json.loads(done.stdout)


def fields_of(*kinds: Any) -> set[str]:
    return {item.name for kind in kinds for item in fields(kind)}


def compared() -> set[str]:
    comparison = Comparison((Row("", Path()),), (Incomplete(Path()),), "", "", "", 1).to_dict()
    return {*comparison, *comparison["rows"][0], *comparison["incomplete"][0]}


SPEC = str(ROOT / "sweeps" / "edc_weights.yaml")
JSON_NAMES: dict[str, Callable[[], set[str]]] = {
    "state.json of a trial": lambda: fields_of(TrialRecord),
    "state.json of a sweep": lambda: fields_of(SweepRecord),
    "states": lambda: {str(state) for state in (*TrialState, *SweepState)},
    "status --json": lambda: fields_of(SweepStatus, TrialStatus),
    "compare --json": compared,
    "plan --json": lambda: keys_of(printed("plan", SPEC, "--gpu", "16GB", "--trial-minutes", "9")),
    "gpu --json": lambda: keys_of(printed("gpu")),
    "check --json": lambda: set(printed("check", SPEC)[0]),
}


@pytest.mark.parametrize("what", JSON_NAMES)
def test_every_field_of_the_json_is_described(what: str) -> None:
    text = text_of(DOCS / "files.md")
    missing = sorted(name for name in JSON_NAMES[what]() if not is_named(name, text))
    assert not missing, f"docs/files.md does not name {missing} of {what}"


def test_every_file_is_described() -> None:
    text = text_of(DOCS / "files.md")
    for folder in (SweepDir(Path("sweep")), RunDir(Path("run"))):
        for name in dir(type(folder)):
            value = getattr(folder, name) if not name.startswith("_") else None
            paths = [value] if isinstance(value, Path) and name != "path" else []
            if name.startswith(("predictions_", "targets_")):
                paths = [value(split) for split in ("test", "val")]
            for path in paths:
                shown = (path.name, f"{path.name}/")
                assert any(is_named(word, text) for word in shown), f"{path.name} is missing"


def test_every_metric_and_sweep_of_edc_is_described() -> None:
    text = text_of(DOCS / "edc.md")
    for name in edc_metrics.GOALS:
        base = name.rpartition("_")[0] or name
        assert f"`{base}" in text or f"`{name}`" in text, f"docs/edc.md: {name} is missing"
    for path in (ROOT / "sweeps").glob("edc_*.yaml"):
        assert is_named(path.name, text), f"docs/edc.md: {path.name} is missing"


def test_every_exit_code_is_described() -> None:
    from orchestrator.engine.driver.outcome import Outcome
    from orchestrator.runs.layout import SweepDir
    from orchestrator.runs.records import SweepState

    section = text_of(DOCS / "commands.md").split("\n## Exit codes\n")[1].split("\n## ")[0]
    kinds = [errors.SweepError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    interrupted = Outcome(SweepDir(Path()), SweepState.INTERRUPTED, {}).exit_code
    codes = {kind.exit_code for kind in kinds} | {0, interrupted}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)} == codes
