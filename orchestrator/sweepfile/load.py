"""A sweep file, read and checked whole.

Usage::

    spec = load_spec(Path("sweeps/edc_weights.yaml"), overrides=["epochs=3"])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.sweepfile import wandb_files
from orchestrator.sweepfile.checks import (
    ablate_key,
    divergence_keys,
    keys,
    keys as combinations,
    parameter_rules,
    ranking,
    ranking as comparable,
    ranking as sampling,
    result_conditions,
    stage_keys,
)
from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.checks.result_conditions import Results
from orchestrator.sweepfile.expand import seeds as seeding
from orchestrator.sweepfile.expand.names import expand_sets, safe
from orchestrator.sweepfile.model.spec import NamedTrial, Resources, Spec
from orchestrator.sweepfile.program.resolve import read_program, settle_paths
from orchestrator.sweepfile.schema.sweep import PROGRAMS, SPEC
from orchestrator.sweepfile.wandb_files import recognise
from orchestrator.sweepfile.yaml.compose import read_whole
from orchestrator.sweepfile.yaml.node import Log, Node
from orchestrator.sweepfile.yaml.overrides import ORIGIN, apply, parameter_names


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
        path: the file.
        overrides: ``KEY=VALUE`` each, as ``--set`` takes them.
        stage: the stage that runs; by default all in order where one promotes, else the last.
        quick: True for the first stage.
        count: the greatest number of trials, beside the file's ``run_cap``; None for no other.
        need_program: True where a missing program, or a missing file that a parameter names, is a
            mistake and no warning.

    Raises:
        SpecError: all mistakes of file and overrides together.
        UsageError: the file cannot be read.
    """
    path = Path(path)
    log = Log()
    written = read_whole(path, log)
    tool = recognise(written.value)
    if tool is not None:
        message = f"must hold a sweep, but looks like a file of {tool}. `sweep init` writes one."
        log.problems.clear()
        log.at(written, "", message)
        raise log.error()
    root, strongest = apply(written, overrides, log)
    for key, node in list(root.value.items()):
        if node.value is None and key in SPEC.keys:
            root = root.replaced(key, None)  # "description:" with nothing behind it says nothing
    file = ParsedFile(
        root=root,
        values=ablate_key.expand_changes(expand_sets(SPEC.read(root, "", log), log), log),
        strongest=strongest,
        named=parameter_names(written),
        log=log,
        stage=stage,
        count=count,
    )
    keys.check_version(file)
    keys.check_runner(file, need_program)
    keys.check_parameters(file)
    stage_keys.check_stage(file, quick)
    keys.check_method(file)
    zips = parameter_rules.check_zips(file)
    constraints = parameter_rules.check_conditions(file)
    combinations.check_combinations(file)
    results = Results(file)
    metrics = ranking.check_metrics(file)
    ranking.check_expectations(file, results)
    ranking.check_ranked(file, metrics)
    targets, tiers = result_conditions.read_targets(file, results)
    seeds, seed_parameter = seeding.read_seeds(file)
    folder = path.absolute().parent
    settle_paths(file, need_program)
    program = None
    if any(key in file.values for key in PROGRAMS):
        names = [*file.names(), *([seed_parameter] if seeds else [])]
        program = read_program(file.values, root, folder, need_program, log, names)
    early_terminate = wandb_files.read_early_terminate(file)
    wandb_files.tell_exponents(file)
    wandb_files.tell_metric(file)
    spec = replace(
        _assemble(file, path.absolute()),
        metric=metrics[0] if metrics else None,
        objectives=metrics if len(metrics) > 1 else (),
        program=program,
        zips=zips,
        constraints=constraints,
        early_terminate=early_terminate,
        stages=stage_keys.read_stages(file, results),
        ablate=ablate_key.read_ablate(file, results),
        seeds=seeds,
        seed_parameter=seed_parameter,
        targets=targets,
        tiers=tiers,
        expect=result_conditions.read_expect(file, results),
        references=result_conditions.read_references(file, results, folder),
        success=result_conditions.read_success(file, results),
        budget=result_conditions.read_budget(file),
        sampler=sampling.check_sampler(file),
        divergence=divergence_keys.read_divergence(file),
        remedy=divergence_keys.read_remedies(file, results),
        lr_schedule=file.values.get("lr_schedule", {}),
    )
    comparable.check_loss(file, spec)
    if log.problems:
        raise log.error()
    parameter_rules.check_some_run(file, spec)
    if log.problems:
        raise log.error()
    return replace(spec, warnings=tuple(str(warning) for warning in log.warnings))


def _assemble(file: ParsedFile, path: Path) -> Spec:
    """Return the spec of a file in which everything is good."""
    values = file.values
    trials = {
        name: NamedTrial(
            set=_plain(entry.get("set", {})),
            note=entry.get("note", ""),
            risk=entry.get("risk", ""),
            expect=entry.get("expect", {}),
        )
        for name, entry in values.get("trials", {}).items()
    }
    resources = values.get("resources", {})
    stage_set: dict[str, Node] = {}
    if file.stage is not None:
        stage_set = values["stages"][file.stage].get("set", {})
    caps = [cap for cap in (values.get("run_cap"), file.count) if cap is not None]
    seed = values.get("seed", 0)
    fixed = _plain(values.get("fixed", {}))
    if file.schema is not None and "seed" in file.schema.parameters:
        # The weakest place: whatever else names the trainer's seed is stronger.
        if file.node("seed").origin == ORIGIN:
            fixed["seed"] = seed
        fixed.setdefault("seed", seed)
    return Spec(
        name=_name(file, path),
        path=path,
        description=values.get("description", ""),
        trainer=values.get("trainer"),
        method=values.get("method", "grid"),
        fixed=fixed,
        parameters={name: declared.domain for name, declared in file.parameters.items()},
        nested=file.nested,
        trials=trials,
        run_cap=min(caps, default=None),
        seed=seed,
        resources=Resources(
            gpu_memory_bytes=resources.get("gpu_memory"),
            cpus=resources.get("cpus"),
            gpus=resources.get("gpus"),
        ),
        stage=file.stage,
        stage_set=_plain(stage_set),
        pruner=values.get("pruner", "none"),
        overrides=_plain(file.strongest),
    )


def _plain(settings: Any) -> dict[str, Any]:
    return {name: node.plain() for name, node in settings.items()}


def _name(file: ParsedFile, path: Path) -> str:
    """Return the sweep's name as a folder can have it."""
    given = file.values.get("name", path.stem)
    name = safe(given)[:80].strip("._") or "sweep"
    if "name" in file.values and name != given:
        file.log.warn(file.node("name"), "name", f"is also a folder's name; '{name}' is used.")
    return name
