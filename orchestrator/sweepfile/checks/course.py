"""The keys that run configs again or otherwise: stages, ablations, seeds and remedies, checked."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.divergence.symptoms import all_symptoms
from orchestrator.sweepfile.checks.parameters import check_name, check_value, expected, in_range
from orchestrator.sweepfile.checks.parsed_file import WRITTEN, ParsedFile
from orchestrator.sweepfile.checks.result_conditions import Results
from orchestrator.sweepfile.expand.build import BASELINE
from orchestrator.sweepfile.expand.configs import count_trials
from orchestrator.sweepfile.model.course import Ablate, Change, Promote, Remedy, Stage
from orchestrator.sweepfile.model.spec import Spec
from orchestrator.sweepfile.schema.course import written_as
from orchestrator.sweepfile.schema.fields import join, refuse
from orchestrator.sweepfile.schema.sweep import plain_settings
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
    `wanted` is the stage that ``--stage`` names; `quick` asks for the first one.
    """
    stages = file.mapping("stages")
    if quick:
        if wanted is not None:
            file.log.add("", "cannot be combined with --stage. Remove one.", "--quick")
        elif not stages and not file.has("stages"):
            file.log.add("", "there is no first stage to run. The file has no stages.", "--quick")
        return wanted or next(iter(stages), None)
    if wanted is None:
        promotes = any("promote" in entry for entry in stages.values())
        return None if promotes or not stages else list(stages)[-1]
    if wanted not in stages:
        known = f"Stages: {', '.join(stages)}." if stages else "The file has no stages."
        file.log.add("", f"no stage '{wanted}'.{file.log.hint(wanted, stages)} {known}", "--stage")
        return None
    return wanted


def read_stages(file: ParsedFile, results: Results) -> tuple[Stage, ...]:
    """Return all stages, their promotions checked."""
    stages: list[Stage] = []
    entries = file.mapping("stages")
    before: Any = {}
    for name, entry in entries.items():
        path = ("stages", name, "promote")
        promotes, fed = "promote" in entry, "promote" in before
        if promotes and name == list(entries)[-1]:
            file.error("the last stage has no next one to promote to. Remove it.", *path)
        if promotes and stages and not fed:
            file.error(f"stage '{stages[-1].name}' does not promote. Add promote there.", *path)
        resumes = bool(entry.get("continue", False))
        if resumes and not fed:
            what = f"'{stages[-1].name}' promotes none" if stages else "this stage is the first"
            message = f"needs a stage before that promotes, but {what}. Write promote there."
            file.error(message, "stages", name, "continue")
        promote = None
        if promotes:
            rule = entry["promote"]
            if not rule and not file.node(*path).value:
                file.error("needs top, fraction or if.", *path)
            if "or" in rule and not {"top", "fraction"} & rule.keys():
                file.error("adds to the best. Give top or fraction too.", *path, "or")
            promote = Promote(
                rule.get("top"), rule.get("fraction"), rule.get("if"), or_not_worse="or" in rule
            )
            results.check_condition(promote.condition, *path, "if")
        for parameter in entry.get("set", {}):
            if parameter in file.parameters:
                message = f"has no effect, since the values of parameters.{parameter} win."
                file.warn(message, "stages", name, "set", parameter)
        stages.append(Stage(name, plain_settings(entry.get("set", {})), promote, resumes))
        before = entry
    return tuple(stages)


def check_promoted(file: ParsedFile, spec: Spec) -> None:
    """Warn if the first stage promotes more configs than it has."""
    first = spec.stages[0] if spec.stages and spec.stage is None else None
    top = first.promote.top if first is not None and first.promote is not None else None
    count = None if top is None or file.log.problems else count_trials(spec)
    if first is None or top is None or count is None:
        return
    count //= max(len(spec.seeds), 1)
    if top > count:
        message = f"promotes all, since the stage has {count} configs."
        file.warn(message, "stages", first.name, "promote", "top")


def read_ablate(file: ParsedFile, results: Results) -> Ablate | None:
    """Return the baseline and its changes; None if the file has no ablation."""
    entry = file.values.get("ablate")
    if entry is None:
        return None
    given = file.mapping("ablate", "changes")
    if "changes" in entry and not given and file.node("ablate", "changes").value == {}:
        file.error("needs at least one change.", "ablate", "changes")
    if BASELINE in given:
        message = f"'{BASELINE}' is the config without changes. Choose another name."
        file.error(message, "ablate", "changes", BASELINE)
    results.check_condition(entry.get("gate"), "ablate", "gate")
    changes: dict[str, Change] = {}
    for name, change in given.items():
        path = ("ablate", "changes", change.get(WRITTEN, name))
        settings = _settings(file, change, *path)
        results.check_condition(change.get("gate"), *path, "gate")
        changes[name] = Change(plain_settings(settings), change.get("note", ""), change.get("gate"))
    return Ablate(
        baseline=plain_settings(file.mapping("ablate", "baseline", "set")),
        changes=changes,
        gate=entry.get("gate"),
        keep_improvements=bool(entry.get("keep_improvements", False)),
    )


def _settings(file: ParsedFile, entry: Any, *path: str) -> dict[str, Node]:
    """Return the ``set`` of a change or a remedy, which must not be empty."""
    settings: dict[str, Node] = entry.get("set", {})
    if "set" in entry and not settings:
        file.error("needs at least one parameter.", *path, "set")
    return settings


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
    if file.declared is not None:
        known = check_name(file.declared, parameter, where, "seeds", file.log)
        wrong = [seed for seed in seeds if known is not None and not in_range(known, seed)]
        if known is not None and known.type not in (int, float):
            file.error(f"{parameter} is not a number, so it cannot take a seed.", "seeds")
        elif known is not None and wrong:
            file.error(f"{parameter} takes {expected(known)} (found {wrong[0]}).", "seeds")
    _refuse_other_seeds(file, parameter)
    return seeds, parameter


def _refuse_other_seeds(file: ParsedFile, parameter: str) -> None:
    """Refuse any other place that sets the seed: the replicates of a config would be equal."""
    places = {(*path, parameter): settings.get(parameter) for path, settings in file.settings()}
    if parameter in file.parameters:
        places[file.key_of(parameter)] = file.parameters[parameter].node
    places[(parameter,)] = file.strongest.get(parameter)
    for symptom, entry in file.mapping("remedy").items():
        places["remedy", symptom, "set", parameter] = entry.get("set", {}).get(parameter)
    for path, node in places.items():
        if node is not None:
            message = "cannot be set here: seeds sets it for each replicate. Remove one."
            file.error(message, *path, at=node)


def read_divergence(file: ParsedFile) -> dict[str, str | dict[str, Any]]:
    """Return symptom to reaction; a symptom with a remedy leads to it."""
    written_entries: dict[str, Any] = file.values.get("divergence", {})
    given = {
        symptom: entry.get("action") if isinstance(entry, dict) else entry
        for symptom, entry in written_entries.items()
    }
    waits = {
        symptom: entry["patience"]
        for symptom, entry in written_entries.items()
        if isinstance(entry, dict) and "patience" in entry
    }
    node, remedies = file.node("divergence"), file.mapping("remedy")
    written = file.root.get("remedy")
    for symptom, choice in given.items():
        name = written_as(node, symptom)
        # A remedy that was refused is reported already.
        refused = written is not None and written_as(written, symptom) in (written.value or {})
        message = ""
        if choice == "remedy" and symptom not in remedies and not refused:
            message = f"there is no remedy for {symptom}. Write remedy: {{{name}: {{set: ...}}}}."
        elif choice not in ("remedy", None) and symptom in remedies:
            message = f"{choice} contradicts the remedy for {symptom}. Remove one."
        if message:
            file.error(message, "divergence", name)
    found: dict[str, str | dict[str, Any]] = {}
    for symptom in all_symptoms():
        action = "remedy" if symptom in remedies else given.get(symptom)
        if symptom in waits:
            found[symptom] = {"action": action, "patience": waits[symptom]}
        elif action is not None:
            found[symptom] = action
    return found


def read_remedies(file: ParsedFile, results: Results) -> dict[str, Remedy]:
    """Return symptom or condition at a step to remedy."""
    remedies = {}
    for symptom, entry in file.mapping("remedy").items():
        path = ("remedy", written_as(file.node("remedy"), symptom))
        settings = _settings(file, entry, *path)
        for name, node in settings.items():
            _check_steps(file, name, node, join(*path, "set", name))
        results.check_condition(entry.get("if"), *path, "if")
        if symptom not in all_symptoms():
            key = file.node("remedy").key_node(symptom)
            results.check_condition(symptom, *path, at=key)
        ladders = [len(node.value) for node in settings.values() if isinstance(node.value, list)]
        remedies[symptom] = Remedy(
            set=plain_settings(settings),
            start=entry.get("from", "scratch"),
            condition=entry.get("if"),
            times=entry.get("times", max([1, *ladders])),
        )
    return remedies


def _check_steps(file: ParsedFile, name: str, node: Node, key: str) -> None:
    """Check what a remedy sets a parameter to: a value, a factor, or a list of them."""
    schema, steps = file.declared, {key: node}
    known = None if schema is None else check_name(schema, name, node, key, file.log)
    if schema is not None and known is None:
        return
    if isinstance(node.value, list):
        steps = {join(key, str(place)): item for place, item in enumerate(node.value)}
        if not steps:
            file.log.at(node, key, "needs at least one value (found an empty list).")
    declared = file.parameters.get(name)
    numbers = declared is not None and (
        declared.domain.low is not None
        or all(type(value) in (int, float) for value in declared.domain.values)
    )
    for where, step in steps.items():
        if known is not None:
            _check_step(file, known, step, where)
        elif numbers and isinstance(step.value, str) and not _TIMES.fullmatch(step.value.strip()):
            refuse(step, where, file.log, "a number or a factor such as '*0.1'")


def _check_step(file: ParsedFile, known: TrainerParameter, node: Node, key: str) -> None:
    is_text = isinstance(node.value, str) and known.type is not str
    if is_text and _TIMES.fullmatch(node.value.strip()):
        if known.type not in (int, float):
            message = f"{known.name} is not a number that can be multiplied. Give a value."
            file.log.at(node, key, message)
    elif is_text and _ALMOST.fullmatch(node.value):
        refuse(node, key, file.log, "a value or a factor such as '*0.1'")
    else:
        check_value(known, node, key, file.log)
