"""What diverging trials lead to: ``divergence`` and ``remedy``, checked."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.divergence.symptoms import all_symptoms
from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.checks.result_conditions import Results
from orchestrator.sweepfile.checks.values import check_name, check_value
from orchestrator.sweepfile.model.course import Remedy
from orchestrator.sweepfile.schema.course import written_as
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.trainer_schemas import ParameterLike
from orchestrator.sweepfile.yaml.node import Node, found

_TIMES = re.compile(r"\*\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
_ALMOST = re.compile(r"\s*(?:[*x×/+]|[-+]=|\*=).*|.*%\s*")


def read_divergence(file: ParsedFile) -> dict[str, str]:
    """Return symptom to choice; a symptom that has a remedy leads to it."""
    given: dict[str, str] = file.values.get("divergence", {})
    remedies = file.values.get("remedy", {})
    node, answers = file.node("divergence"), file.node("remedy")
    for symptom, choice in given.items():
        name = written_as(node, symptom)
        where, key = file.node("divergence", name), join("divergence", name)
        if choice == "remedy" and symptom not in remedies and file.root.get("remedy") is None:
            message = f"needs an answer: write remedy: {{{name}: {{set: {{...}}}}}}."
            file.log.at(where, key, message)
        elif choice == "remedy" and symptom not in remedies:
            if not any(written_as(answers, symptom) == k for k in (answers.value or {})):
                message = f"needs an answer, but remedy has none for {symptom}."
                file.log.at(where, key, message)
        elif choice != "remedy" and symptom in remedies:
            message = f"must be remedy, since remedy answers {symptom}, but got {choice}."
            file.log.at(where, key, f"{message} Remove one.")
    return {
        symptom: "remedy" if symptom in remedies else given[symptom]
        for symptom in all_symptoms()
        if symptom in given or symptom in remedies
    }


def read_remedies(file: ParsedFile, results: Results) -> dict[str, Remedy]:
    """Return symptom to what answers it."""
    answers = {}
    for symptom, entry in file.values.get("remedy", {}).items():
        path = ("remedy", written_as(file.node("remedy"), symptom))
        settings: dict[str, Node] = entry.get("set", {})
        if not settings and "set" in entry:
            where = file.node(*path, "set")
            file.log.at(where, join(*path, "set"), "must change one parameter at least.")
        for name, node in settings.items():
            _check_step(file, name, node, join(*path, "set", name))
        condition = entry.get("if")
        if condition is not None:
            key = join(*path, "if")
            results.check_condition(condition, file.node(*path, "if"), key, many=False)
        ladders = [len(node.value) for node in settings.values() if isinstance(node.value, list)]
        answers[symptom] = Remedy(
            set={name: node.plain() for name, node in settings.items()},
            start=entry.get("from", "scratch"),
            condition=condition,
            times=entry.get("times", max([1, *ladders])),
        )
    return answers


def _check_step(file: ParsedFile, name: str, node: Node, key: str) -> None:
    """Check what a remedy sets a parameter to: a value, a factor, or a ladder of such."""
    schema, log = file.declared, file.log
    known: ParameterLike | None = None
    if schema is not None:
        known = check_name(name, node, key, schema, log)
        if known is None:
            return
    if isinstance(node.value, list):
        if not node.value:
            log.at(node, key, "must have one value at least, but got an empty list.")
        for place, item in enumerate(node.value):
            _check_value(file, known, name, item, join(key, str(place)))
        return
    _check_value(file, known, name, node, key)


def _check_value(
    file: ParsedFile, known: ParameterLike | None, name: str, node: Node, key: str
) -> None:
    value: Any = node.value
    is_text = isinstance(value, str) and (known is None or known.type is not str)
    if is_text and _TIMES.fullmatch(value.strip()):
        if known is not None and known.type not in (int, float):
            file.log.at(node, key, f"must be a value, since {name} is no number to multiply.")
        return
    if is_text and known is not None and _ALMOST.fullmatch(value):
        log, got = file.log, found(node)
        log.at(node, key, f"must be a value or a factor such as '*0.1', but got {got}.")
        return
    if known is not None:
        check_value(known, node, key, file.log)
