"""A sweep file, read and checked whole.

Usage::

    spec = load_spec(Path("sweeps/edc_weights.yaml"), overrides=["epochs=3"])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.sweepfile import wandb_files
from orchestrator.sweepfile.checks import (
    course,
    keys,
    parameters,
    ranking,
    result_conditions,
)
from orchestrator.sweepfile.checks.optuna_choices import read_pruner, read_sampler
from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.checks.result_conditions import Results
from orchestrator.sweepfile.checks.start import check_start, read_start
from orchestrator.sweepfile.expand.trial_names import safe
from orchestrator.sweepfile.model.private import Private, with_secrets
from orchestrator.sweepfile.model.spec import Spec
from orchestrator.sweepfile.program.paths import check_notebook, folder_of, settle_paths
from orchestrator.sweepfile.program.resolve import read_program
from orchestrator.sweepfile.schema.options import all_options
from orchestrator.sweepfile.schema.sweep import PROGRAMS, SPEC, plain_settings, spec_values
from orchestrator.sweepfile.trainer_schemas import trainer_schema
from orchestrator.sweepfile.yaml.compose import (
    ORIGIN,
    apply,
    for_preset,
    parameter_names,
    read_whole,
)
from orchestrator.sweepfile.yaml.node import Log, Node


def load_spec(
    path: Path,
    *,
    overrides: Sequence[str] = (),
    stage: str | None = None,
    quick: bool = False,
    count: int | None = None,
    need_program: bool = False,
) -> Spec:
    """Return the spec of a sweep file.

    Args:
        overrides: ``KEY=VALUE`` each, as ``--set`` takes them.
        stage: the stage that runs; by default all in order if one promotes, else the last.
        quick: True for the first stage.
        count: the greatest number of trials, next to the file's ``run_cap``; None for no other.
        need_program: True if a missing program, or file that a parameter names, is a mistake;
            otherwise it is a warning.

    Raises:
        SpecError: all mistakes of file and overrides together.
        UsageError: the file cannot be read.
    """
    path = Path(path)
    log = Log()
    written = read_whole(path, log)
    tool = _other_tool(written.value)
    if tool is not None:
        log.problems.clear()
        log.at(written, "", f"no sweep file; it looks like one of {tool}. `sweep init` writes one.")
        raise log.error()
    root, strongest = apply(for_preset(written, _preset(written, overrides)), overrides, log)
    for key, node in list(root.value.items()):
        if node.value is None and key in SPEC.keys:
            root = root.replaced(key, None)  # "description:" without a value changes nothing
    file = ParsedFile.read(root, strongest, parameter_names(written), log, count)
    keys.check_version(file)
    file = replace(
        file,
        schema=keys.read_trainer(file, need_program),
        stage=course.choose_stage(file, stage, quick),
    )
    spec = _checked(file, path.absolute(), need_program)
    if not log.problems:
        parameters.check_some_run(file, spec)
        course.check_promoted(file, spec)
    if log.problems:
        raise log.error()
    warnings = log.private.masked([str(warning) for warning in log.warnings])
    return replace(_without_private(spec, log.private), warnings=tuple(warnings))


# Of a spec and of a program: what only the process of a trial reads.
_SETTINGS = (
    *("fixed", "parameters", "constraints", "trials", "stage_set", "overrides"),
    *("stages", "ablate", "remedy"),
)
_COMMANDS = ("command", "steps", "resume")


def _without_private(spec: Spec, private: Private) -> Spec:
    """Return the spec with what is private as it is written, and what that stands for."""
    program = spec.program
    settings = {name: getattr(spec, name) for name in _SETTINGS}
    private = with_secrets(private, settings, program.env if program is not None else {})
    if program is not None:
        commands = {name: private.without(getattr(program, name)) for name in _COMMANDS}
        commands["command"] = tuple(map(private.masked, commands["command"]))
        program = replace(program, env=private.without(program.env), **commands)
    kept = {name: private.without(value) for name, value in settings.items()}
    kept["options"] = private.without(spec.options)  # the command of notify
    return replace(spec, program=program, private=private.values, **kept)


def _checked(file: ParsedFile, path: Path, need_program: bool) -> Spec:
    """Check what the keys mean together, and return the spec; mistakes go to the file's log."""
    file = wandb_files.settle_values(file)
    parameters.check_parameters(file)
    keys.check_method(file)
    zips = parameters.read_zips(file)
    constraints = parameters.read_constraints(file)
    keys.check_combinations(file)
    results = Results(file)
    metrics = ranking.read_metrics(file)
    ranking.check_expectations(file, results)
    ranking.check_ranked(file, metrics)
    targets, tiers = result_conditions.read_targets(file, results)
    seeds, seed_parameter = course.read_seeds(file)
    file = settle_paths(file, need_program)
    program = None
    if any(key in file.values for key in PROGRAMS):
        names = [*file.names(), *([seed_parameter] if seeds else [])]
        program = read_program(file, path.parent, need_program, names)
        check_notebook(file, program, need_program)
    early_terminate = wandb_files.read_early_terminate(file)
    wandb_files.warn_of_exponents(file)
    wandb_files.warn_of_impute(file)
    caps = [cap for cap in (file.values.get("run_cap"), file.count) if cap is not None]
    stage = file.values["stages"][file.stage] if file.stage is not None else {}
    pruner, pruner_options = read_pruner(file)
    computed: dict[str, Any] = {
        "name": _name(file, path),
        "path": path,
        "parameters": {name: declared.domain for name, declared in file.parameters.items()},
        "nested": file.nested,
        "zips": zips,
        "constraints": constraints,
        "fixed": _fixed(file),
        "run_cap": min(caps, default=None),
        "stage": file.stage,
        "stage_set": plain_settings(stage.get("set", {})),
        "overrides": plain_settings(file.strongest),
        "metric": metrics[0] if metrics else None,
        "objectives": metrics if len(metrics) > 1 else (),
        "program": program,
        "early_terminate": early_terminate,
        "stages": course.read_stages(file, results),
        "ablate": course.read_ablate(file, results),
        "start": read_start(file, zips),
        "seeds": seeds,
        "seed_parameter": seed_parameter,
        "targets": targets,
        "tiers": tiers,
        "expect": result_conditions.read_expect(file, results),
        "references": result_conditions.read_references(file, results, path.parent),
        "success": result_conditions.read_success(file, results),
        "sampler": read_sampler(file),
        "pruner": pruner,
        "pruner_options": pruner_options,
        "divergence": course.read_divergence(file),
        "remedy": course.read_remedies(file, results),
    }
    spec = Spec(**{**spec_values(file.values), **computed})
    ranking.check_loss(file, spec, results)
    check_start(file, spec)
    for name, option in all_options().items():
        if name in spec.options and option.check is not None:
            option.check(file, spec)
    return spec


def _preset(written: Node, overrides: Sequence[str]) -> Any:
    """Return the preset that all trials have; None if there is none, or it varies."""
    if written.get("presets") is None:
        return None
    root, strongest = apply(written, overrides, Log())
    fixed, name = root.get("fixed"), root.get("trainer")
    node = strongest.get("preset") or (fixed.get("preset") if fixed is not None else None)
    if node is not None:
        return node.value
    varies = (root.get("parameters") or root).get("preset") is not None
    try:
        if varies or name is None or not isinstance(name.value, str):
            return None
        parameter = trainer_schema(name.value, folder_of(root)).parameters.get("preset")
    except UsageError:
        return None  # which is reported later
    return None if parameter is None else parameter.default


def _name(file: ParsedFile, path: Path) -> str:
    """Return the sweep's name, as far as a folder can have it."""
    given = file.values.get("name", path.stem)
    name = safe(given)[:80].strip("._") or "sweep"
    if "name" in file.values and name != given:
        file.log.warn(file.node("name"), "name", f"is also a folder's name; '{name}' is used.")
    return name


def _fixed(file: ParsedFile) -> dict[str, Any]:
    """Return what all configs share, with the sweep's seed if the trainer takes one."""
    fixed = plain_settings(file.values.get("fixed", {}))
    if file.schema is not None and "seed" in file.schema.parameters:
        # The weakest place: whatever else names the trainer's seed is stronger.
        seed = file.values.get("seed", 0)
        if file.node("seed").origin == ORIGIN:
            fixed["seed"] = seed
        fixed.setdefault("seed", seed)
    return fixed


# Other tools' files that are called sweep.yaml too: groups of keys, any of which is theirs alone.
_TOOLS: dict[str, tuple[set[str], ...]] = {
    "Hydra": ({"hydra"}, {"defaults"}),
    "the Sweep bot for GitHub": ({"gha_enabled"}, {"rules", "branch"}, {"blocked_dirs"}),
    "GitHub Actions": ({"jobs", "on"},),
    "Kubernetes": ({"apiVersion", "kind", "metadata"},),
    "Determined AI": ({"searcher", "hyperparameters"},),
    "NNI": ({"trialCommand"}, {"searchSpace", "tuner"}),
    "Polyaxon": ({"kind", "matrix"}, {"hptuning"}),
    "Docker Compose": ({"services"},),
}
_OURS = {"parameters", "trials", "program", "command"}


def _other_tool(entries: Mapping[str, Node]) -> str | None:
    """Return the name of the tool whose file this is; None if it may be a sweep file."""
    stages = entries["stages"].value if "stages" in entries else {}
    inner = stages.values() if isinstance(stages, dict) else ()
    if any(entry.get("cmd") is not None for entry in inner):
        return "DVC"
    if _OURS & entries.keys():
        return None
    found = (tool for tool, groups in _TOOLS.items() if any(g <= entries.keys() for g in groups))
    return next(found, None)
