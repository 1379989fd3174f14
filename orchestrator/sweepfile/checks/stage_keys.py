"""The stages of a sweep: which of them runs, and what promotes trials from one to the next."""

from __future__ import annotations

from typing import Any

from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.checks.result_conditions import Results
from orchestrator.sweepfile.model.course import Promote, Stage
from orchestrator.sweepfile.yaml.node import Node


def check_stage(file: ParsedFile, quick: bool = False) -> None:
    """Check that the stage that was asked for is there.

    Without one all stages run in order where one of them promotes; otherwise the last one runs.

    Args:
        file: the file; its `stage` is set.
        quick: True for the first stage.
    """
    stages = file.values.get("stages", {})
    known = f"Stages: {', '.join(stages)}." if stages else "The file has no stages."
    if quick and file.stage is not None:
        file.log.add("", "must not stand beside --stage. Give one.", "--quick")
    elif quick:
        file.stage = next(iter(stages), None)
        if not stages and file.root.get("stages") is None:
            file.log.add("", f"runs the first stage, but there is none. {known}", "--quick")
    elif file.stage is None:
        promotes = any("promote" in entry for entry in stages.values())
        file.stage = None if promotes or not stages else list(stages)[-1]
    elif file.stage not in stages:
        hint = file.log.hint(file.stage, stages)
        message = f"must be a stage of the file, but got '{file.stage}'.{hint} {known}"
        file.log.add("", message, "--stage")
        file.stage = None


def read_stages(file: ParsedFile, results: Results) -> tuple[Stage, ...]:
    """Return all stages, their promotions checked."""
    entries: dict[str, Any] = file.values.get("stages", {})
    names, log = list(entries), file.log
    found = []
    for place, (name, entry) in enumerate(entries.items()):
        promote = _promote(file, name, entry.get("promote"), results)
        where = file.key_node("stages", name, "promote")
        if "promote" in entry and place == len(names) - 1:
            message = "must stand on a stage that another follows, but this one is the last."
            log.at(where, f"stages.{name}.promote", message)
        resumes = bool(entry.get("continue", False))
        before = entries[names[place - 1]] if place else {}
        if "promote" in entry and place and "promote" not in before:
            message = f"must stand behind stages that promote, but '{names[place - 1]}' does not."
            log.at(where, f"stages.{name}.promote", message)
        if resumes and "promote" not in before:
            at = file.key_node("stages", name, "continue")
            message = "is for a stage to which the one before it promotes, but"
            what = f"'{names[place - 1]}' promotes none" if place else "this one is the first"
            log.at(at, f"stages.{name}.continue", f"{message} {what}. Write promote there.")
        settings = {key: node.plain() for key, node in entry.get("set", {}).items()}
        found.append(Stage(name, settings, promote, resumes))
    return tuple(found)


def _promote(file: ParsedFile, name: str, entry: Any, results: Results) -> Promote | None:
    if entry is None:
        return None
    key = f"stages.{name}.promote"
    where = file.key_node("stages", name, "promote")
    written: Node = file.node("stages", name, "promote")
    if not entry and not written.value:
        file.log.at(where, key, "must have one of top, fraction and if at least, but has none.")
    condition = entry.get("if")
    if condition is not None:
        at = file.node("stages", name, "promote", "if")
        results.check_condition(condition, at, f"{key}.if", many=False)
    return Promote(entry.get("top"), entry.get("fraction"), condition)
