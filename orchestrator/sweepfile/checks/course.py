"""The keys that run configs again or otherwise: stages, ablations, seeds and remedies, checked."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.divergence.symptoms import all_symptoms
from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.checks.result_conditions import Results
from orchestrator.sweepfile.checks.values import check_name, check_value
from orchestrator.sweepfile.expand.build import BASELINE
from orchestrator.sweepfile.expand.trial_names import WRITTEN
from orchestrator.sweepfile.model.course import Ablate, Change, Promote, Remedy, Stage
from orchestrator.sweepfile.schema.course import written_as
from orchestrator.sweepfile.schema.fields import join, refuse
from orchestrator.sweepfile.trainer_schemas import TrainerParameter
from orchestrator.sweepfile.yaml.node import Node

SEED = "seed"
"""The parameter that takes the seed, unless the file names another."""
MOST_SEEDS = 1000
_TIMES = re.compile(r"\*\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
_ALMOST = re.compile(r"\s*(?:[*x×/+]|[-+]=|\*=).*|.*%\s*")


def choose_stage(file: ParsedFile, wanted: str | None, quick: bool) -> str | None:
    """Return the stage that runs; None if all run in order, or there are none.

    By default all stages run in order if one of them promotes; otherwise the last one runs.

    Args:
        file: the file.
        wanted: the stage that ``--stage`` names.
        quick: True for the first stage.
    """
    stages = file.stages
    known = f"Stages: {', '.join(stages)}." if stages else "The file has no stages."
    if quick and wanted is not None:
        file.log.add("", "cannot be combined with --stage. Remove one.", "--quick")
    elif quick:
        if not stages and not file.has("stages"):
            file.log.add("", "there is no first stage to run. The file has no stages.", "--quick")
        return next(iter(stages), None)
    elif wanted is None:
        promotes = any("promote" in entry for entry in stages.values())
        return None if promotes or not stages else list(stages)[-1]
    elif wanted not in stages:
        file.log.add("", f"no stage '{wanted}'.{file.log.hint(wanted, stages)} {known}", "--stage")
        return None
    return wanted


def read_stages(file: ParsedFile, results: Results) -> tuple[Stage, ...]:
    """Return all stages, their promotions checked."""
    stages: list[Stage] = []
    before: dict[str, Any] = {}
    last = list(file.stages)[-1:]
    for name, entry in file.stages.items():
        path = ("stages", name, "promote")
        if "promote" in entry and [name] == last:
            file.error("the last stage has no next one to promote to. Remove it.", *path)
        if "promote" in entry and stages and "promote" not in before:
            message = f"the stage before, '{stages[-1].name}', does not promote. Add promote there."
            file.error(message, *path)
        resumes = bool(entry.get("continue", False))
        if resumes and "promote" not in before:
            what = f"'{stages[-1].name}' promotes none" if stages else "this stage is the first"
            message = f"needs a stage before that promotes, but {what}. Write promote there."
            file.error(message, "stages", name, "continue")
        settings = {key: node.plain() for key, node in entry.get("set", {}).items()}
        stages.append(Stage(name, settings, _promote(file, entry, path, results), resumes))
        before = dict(entry)
    return tuple(stages)


def _promote(
    file: ParsedFile, stage: Any, path: tuple[str, ...], results: Results
) -> Promote | None:
    entry = stage.get("promote")
    if entry is None:
        return None
    if not entry and not file.node(*path).value:
        file.error("needs top, fraction or if.", *path)
    condition = entry.get("if")
    if condition is not None:
        results.check_condition(condition, *path, "if")
    return Promote(entry.get("top"), entry.get("fraction"), condition)


def read_ablate(file: ParsedFile, results: Results) -> Ablate | None:
    """Return the baseline and its changes; None if the file has no ablation."""
    entry = file.values.get("ablate")
    if entry is None:
        return None
    if "changes" in entry and not file.changes and file.node("ablate", "changes").value == {}:
        file.error("needs at least one change.", "ablate", "changes")
    if BASELINE in file.changes:
        message = f"'{BASELINE}' is the config without changes. Choose another name."
        file.error(message, "ablate", "changes", BASELINE)
    if entry.get("gate") is not None:
        results.check_condition(entry["gate"], "ablate", "gate")
    changes: dict[str, Change] = {}
    for name, change in file.changes.items():
        path = ("ablate", "changes", change.get(WRITTEN, name))
        _refuse_empty(file, change, *path, "set")
        gate = change.get("gate")
        if gate is not None:
            results.check_condition(gate, *path, "gate")
        settings = {key: item.plain() for key, item in change.get("set", {}).items()}
        changes[name] = Change(settings, change.get("note", ""), gate)
    baseline = entry.get("baseline", {}).get("set", {})
    return Ablate(
        baseline={key: item.plain() for key, item in baseline.items()},
        changes=changes,
        gate=entry.get("gate"),
        keep_improvements=bool(entry.get("keep_improvements", False)),
    )


def _refuse_empty(file: ParsedFile, entry: Any, *path: str) -> None:
    if "set" in entry and not entry["set"]:
        file.error("needs at least one parameter.", *path)


def read_seeds(file: ParsedFile) -> tuple[tuple[int, ...], str]:
    """Return the seeds, and the parameter that takes them.

    A number N means N seeds, counted up from the sweep's ``seed``.
    """
    given: Any = file.values.get("seeds")
    entry = given if isinstance(given, dict) else {"values": given}
    values, parameter = entry.get("values"), entry.get("parameter", SEED)
    if values is None:
        return (), SEED
    path = ("seeds", "values") if isinstance(given, dict) else ("seeds",)
    where = file.key_node("seeds")
    count = values if isinstance(values, int) else len(values)
    if count > MOST_SEEDS:
        file.error(f"too many seeds ({count:,}; limit: {MOST_SEEDS:,}).", *path, at=where)
        return (), SEED
    first = file.values.get("seed", 0)
    seeds = tuple(range(first, first + values)) if isinstance(values, int) else tuple(values)
    repeated = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if repeated:
        file.error(f"{repeated[0]} is listed twice.", *path, at=where)
    _check_seed_parameter(file, parameter, seeds)
    _refuse_other_seeds(file, parameter)
    return seeds, parameter


def _check_seed_parameter(file: ParsedFile, parameter: str, seeds: tuple[int, ...]) -> None:
    """Check that a trainer takes such seeds."""
    schema = file.declared
    if schema is None:
        return
    known = schema.parameters.get(parameter)
    if known is None:
        hint = file.log.hint(parameter, schema.parameters)
        message = f"trainer '{schema.name}' has no parameter '{parameter}' for the seed.{hint}"
        file.error(message, "seeds")
        return
    if known.type not in (int, float):
        file.error(f"{parameter} is not a number, so it cannot take a seed.", "seeds")
        return
    low, high = known.low, known.high
    for seed in seeds:
        if (low is not None and seed < low) or (high is not None and seed > high):
            bounds = f"from {low:g}" if low is not None else ""
            bounds += f" to {high:g}" if high is not None else ""
            message = f"{parameter} takes numbers {bounds.strip()} (found {seed})."
            file.error(message, "seeds")
            return


def _refuse_other_seeds(file: ParsedFile, parameter: str) -> None:
    """Refuse any other place that sets the seed: the replicates of a config would be equal."""
    places = {(*path, parameter): settings.get(parameter) for path, settings in file.settings()}
    if parameter in file.parameters:
        places[file.key_of(parameter)] = file.parameters[parameter].node
    places[(parameter,)] = file.strongest.get(parameter)
    for symptom, entry in file.remedies.items():
        places["remedy", symptom, "set", parameter] = entry.get("set", {}).get(parameter)
    for path, node in places.items():
        if node is not None:
            message = "cannot be set here: seeds sets it for each replicate. Remove one."
            file.error(message, *path, at=node)


def read_divergence(file: ParsedFile) -> dict[str, str]:
    """Return symptom to reaction; a symptom with a remedy leads to it."""
    given: dict[str, str] = file.values.get("divergence", {})
    node, remedies = file.node("divergence"), file.remedies
    written = file.root.get("remedy")
    for symptom, choice in given.items():
        name = written_as(node, symptom)
        # A remedy that was refused is reported already.
        refused = written is not None and written_as(written, symptom) in (written.value or {})
        message = ""
        if choice == "remedy" and symptom not in remedies and not refused:
            message = f"there is no remedy for {symptom}. Write remedy: {{{name}: {{set: ...}}}}."
        elif choice != "remedy" and symptom in remedies:
            message = f"{choice} contradicts the remedy for {symptom}. Remove one."
        if message:
            file.error(message, "divergence", name)
    return {
        symptom: "remedy" if symptom in remedies else given[symptom]
        for symptom in all_symptoms()
        if symptom in given or symptom in remedies
    }


def read_remedies(file: ParsedFile, results: Results) -> dict[str, Remedy]:
    """Return symptom to remedy."""
    remedies = {}
    for symptom, entry in file.remedies.items():
        path = ("remedy", written_as(file.node("remedy"), symptom))
        settings: dict[str, Node] = entry.get("set", {})
        _refuse_empty(file, entry, *path, "set")
        for name, node in settings.items():
            _check_step(file, name, node, join(*path, "set", name))
        condition = entry.get("if")
        if condition is not None:
            results.check_condition(condition, *path, "if")
        ladders = [len(node.value) for node in settings.values() if isinstance(node.value, list)]
        remedies[symptom] = Remedy(
            set={name: node.plain() for name, node in settings.items()},
            start=entry.get("from", "scratch"),
            condition=condition,
            times=entry.get("times", max([1, *ladders])),
        )
    return remedies


def _check_step(file: ParsedFile, name: str, node: Node, key: str) -> None:
    """Check what a remedy sets a parameter to: a value, a factor, or a list of them."""
    known: TrainerParameter | None = None
    if file.declared is not None:
        known = check_name(file.declared, name, node, key, file.log)
        if known is None:
            return
    if not isinstance(node.value, list):
        _check_step_value(file, known, name, node, key)
    elif not node.value:
        file.log.at(node, key, "needs at least one value (found an empty list).")
    else:
        for place, item in enumerate(node.value):
            _check_step_value(file, known, name, item, join(key, str(place)))


def _check_step_value(
    file: ParsedFile, known: TrainerParameter | None, name: str, node: Node, key: str
) -> None:
    value: Any = node.value
    if known is None:
        return
    is_text = isinstance(value, str) and known.type is not str
    if is_text and _TIMES.fullmatch(value.strip()):
        if known.type not in (int, float):
            file.log.at(node, key, f"{name} is not a number that can be multiplied. Give a value.")
    elif is_text and _ALMOST.fullmatch(value):
        refuse(node, key, file.log, "a value or a factor such as '*0.1'")
    else:
        check_value(known, node, key, file.log)
