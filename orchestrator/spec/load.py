"""A sweep file, read and checked whole.

Usage::

    spec = load_spec(Path("sweeps/edc_weights.yaml"), overrides=["epochs=3"])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.spec import check, ranking, relations, wandb
from orchestrator.spec.compose import read_whole
from orchestrator.spec.draft import Draft
from orchestrator.spec.foreign import recognise
from orchestrator.spec.keys import SPEC
from orchestrator.spec.model import NamedTrial, Resources, Spec
from orchestrator.spec.named import expand_sets
from orchestrator.spec.names import safe
from orchestrator.spec.overrides import ORIGIN, apply, parameter_names
from orchestrator.spec.paths import settle_paths
from orchestrator.spec.problems import Log
from orchestrator.spec.programs import read_program
from orchestrator.spec.tree import Node


def load_spec(
    path: Path,
    *,
    overrides: Sequence[str] = (),
    stage: str | None = None,
    need_program: bool = False,
) -> Spec:
    """Return the spec of a sweep file.

    Args:
        path: the file.
        overrides: ``KEY=VALUE`` each, as ``--set`` takes them.
        stage: the stage that runs; by default the last one of the file.
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
    draft = Draft(
        root=root,
        values=expand_sets(SPEC.read(root, "", log), log),
        strongest=strongest,
        named=parameter_names(written),
        log=log,
        stage=stage,
    )
    check.check_version(draft)
    check.check_runner(draft, need_program)
    check.check_parameters(draft)
    check.check_stage(draft)
    check.check_method(draft)
    zips = relations.check_zips(draft)
    constraints = relations.check_conditions(draft)
    metric = ranking.check_metric(draft)
    ranking.check_metric_names(draft)
    folder = path.absolute().parent
    settle_paths(draft, need_program)
    program = None
    if "program" in draft.values or "command" in draft.values:
        program = read_program(draft.values, root, folder, need_program, log)
    early_terminate = wandb.read_early_terminate(draft)
    wandb.tell_exponents(draft)
    wandb.tell_metric(draft)
    spec = replace(
        _assemble(draft, path.absolute()),
        metric=metric,
        program=program,
        zips=zips,
        constraints=constraints,
        early_terminate=early_terminate,
    )
    ranking.check_loss(draft, spec)
    if log.problems:
        raise log.error()
    relations.check_some_run(draft, spec)
    if log.problems:
        raise log.error()
    return replace(spec, warnings=tuple(str(warning) for warning in log.warnings))


def _assemble(draft: Draft, path: Path) -> Spec:
    """Return the spec of a draft in which everything is good."""
    values = draft.values
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
    if draft.stage is not None:
        stage_set = values["stages"][draft.stage].get("set", {})
    seed = values.get("seed", 0)
    fixed = _plain(values.get("fixed", {}))
    if draft.schema is not None and "seed" in draft.schema.parameters:
        # The weakest place: whatever else names the trainer's seed is stronger.
        if draft.node("seed").origin == ORIGIN:
            fixed["seed"] = seed
        fixed.setdefault("seed", seed)
    return Spec(
        name=_name(draft, path),
        path=path,
        description=values.get("description", ""),
        trainer=values.get("trainer"),
        method=values.get("method", "grid"),
        fixed=fixed,
        parameters={name: declared.domain for name, declared in draft.parameters.items()},
        nested=draft.nested,
        trials=trials,
        run_cap=values.get("run_cap"),
        seed=seed,
        targets=values.get("targets", {}),
        resources=Resources(
            gpu_memory_bytes=resources.get("gpu_memory"),
            cpus=resources.get("cpus"),
            gpus=resources.get("gpus"),
        ),
        stage=draft.stage,
        stage_set=_plain(stage_set),
        pruner=values.get("pruner", "none"),
        overrides=_plain(draft.strongest),
    )


def _plain(settings: Any) -> dict[str, Any]:
    return {name: node.plain() for name, node in settings.items()}


def _name(draft: Draft, path: Path) -> str:
    """Return the sweep's name as a folder can have it."""
    given = draft.values.get("name", path.stem)
    name = safe(given)[:80].strip("._") or "sweep"
    if "name" in draft.values and name != given:
        draft.log.warn(draft.node("name"), "name", f"is also a folder's name; '{name}' is used.")
    return name
