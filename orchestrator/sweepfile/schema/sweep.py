"""The table of the sweep file: every key, what it takes, and what it is for.

The checker reads files by this table, and `json_schema` prints it for editors. A new key is a
module in `schema.options`; those that are part of `Spec` itself are here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from orchestrator.sweepfile.model.course import Budget
from orchestrator.sweepfile.model.spec import NamedTrial, Resources, Spec
from orchestrator.sweepfile.schema import course, program
from orchestrator.sweepfile.schema.containers import (
    Either,
    Key,
    ListOf,
    MapOf,
    Record,
    SpecKey as _Key,
)
from orchestrator.sweepfile.schema.fields import SETTINGS, SWITCH, Chosen, Number, Text, Whole, Word
from orchestrator.sweepfile.schema.options import all_options
from orchestrator.sweepfile.schema.text_kinds import CONDITION
from orchestrator.sweepfile.space.domain import Block
from orchestrator.sweepfile.space.optuna_options import PRUNERS
from orchestrator.sweepfile.yaml.node import Node

VERSION = 1
_IMPUTED = ("latest", "best", "worst")
_GOAL = Word(
    ("minimize", "maximize"),
    dict.fromkeys(("min", "minimise", "minimum", "minimize"), "minimize")
    | dict.fromkeys(("max", "maximise", "maximum", "maximize"), "maximize"),
)
_METRIC_NAME = Text("the name of a metric")
_PARAMETER = Text("the name of a parameter")
_METRIC = Record(
    {
        "name": Key(_METRIC_NAME, "a reported metric, such as val_mae", True),
        "goal": Key(_GOAL, "which way is better; by default as the trainer or the name says"),
        "target": Key(Number(), "the sweep may end once a trial has reached it"),
        "impute": Key(Word(_IMPUTED), "what a failed trial counts as for the sampler"),
        "impute_while_running": Key(Word((*_IMPUTED, "false")), "the same for a trial that runs"),
    },
    "a mapping such as {name: val_mae, goal: minimize}",
)
_METRICS = ListOf(Either(_METRIC_NAME, _METRIC), "a list of metrics")
_TRIAL = Record(
    {
        "set": Key(SETTINGS, "the parameter values that make this trial"),
        "note": Key(Text(empty=True), "what the trial is for"),
        "risk": Key(Text(empty=True), "what may go wrong"),
        "expect": course.TRIAL_EXPECT,
    },
    "a mapping such as {set: {lr: 0.001}, note: ...}",
    later={"gate": "Watch the first trials by `sweep status --watch`."},
    empty=True,
)
_EARLY_TERMINATE = Record(
    {
        "type": Key(Word(("hyperband",)), "the rule; hyperband is the only one", True),
        "min_iter": Key(Whole(1), "the first band, in reports of the metric"),
        "max_iter": Key(Whole(1), "reports of a whole trial; bands are counted down from it"),
        "s": Key(Whole(1), "how many bands are counted down from max_iter"),
        "eta": Key(Number(least=1.0), "each band is so many times the one before; by default 3"),
        "strict": Key(SWITCH, "compare the value at the band, not the best so far"),
    },
    "a mapping such as {type: hyperband, min_iter: 3}",
)
_CONSTRAINT = Record(
    {
        "require": Key(CONDITION, "the condition that every config must keep"),
        "forbid": Key(CONDITION, "the condition that no config may meet"),
        "reason": Key(Text(empty=True), "why"),
    },
    "a condition, or a mapping such as {forbid: batch_size < 4, reason: ...}",
)
_ZIP = ListOf(
    Either(_PARAMETER, ListOf(_PARAMETER, "a list of parameters")),
    "a list of parameters, or of such lists",
)


def plain_settings(settings: Mapping[str, Node]) -> dict[str, Any]:
    """Return parameters and their values without lines."""
    return {name: node.plain() for name, node in settings.items()}


def _trials(given: Mapping[str, Any]) -> dict[str, NamedTrial]:
    return {
        name: NamedTrial(
            plain_settings(entry.get("set", {})),
            entry.get("note", ""),
            entry.get("risk", ""),
            entry.get("expect", {}),
        )
        for name, entry in given.items()
    }


def _resources(given: Mapping[str, Any]) -> Resources:
    return Resources(given.get("gpu_memory"), given.get("cpus"), given.get("gpus"))


_KEYS = {
    "version": _Key(Whole(1), "version of the file's language; 1"),
    "name": _Key(Text("a name"), "the sweep's name; by default the file's", of_wandb=True),
    "description": _Key(Text(empty=True), "what the sweep is for", of_wandb=True),
    "trainer": _Key(Text("the name of a trainer"), "the training system that runs the trials"),
    **program.KEYS,
    "method": _Key(
        Word(("grid", "random", "bayes")),
        "how parameters make configs; by default grid",
        of_wandb=True,
    ),
    "metric": _Key(
        Either(_METRIC_NAME, Either(_METRICS, _METRIC, lists_first=True)),
        "what ranks the trials; by default the first val_ metric that is no loss",
        of_wandb=True,
    ),
    "extends": _Key(
        Text("the path of a sweep file"),
        "another sweep file; this one holds only what differs from it",
    ),
    "fixed": _Key(SETTINGS, "parameter values that all trials share", joined=True),
    "parameters": _Key(
        MapOf(Block(), "a mapping from parameter to its values"),
        "the search space: parameter to value, values, or min and max",
        joined=True,
        of_wandb=True,
    ),
    "zip": _Key(_ZIP, "parameters whose values move together, the first with the first and so on"),
    "constraints": _Key(
        ListOf(Either(CONDITION, _CONSTRAINT), "a list of conditions"),
        "what configs must keep; others are not run, but listed with the reason",
    ),
    "trials": _Key(
        MapOf(_TRIAL, "a mapping from name to {set: {...}}"),
        "named trials; with parameters, each is multiplied by them",
        convert=_trials,
        joined=True,
    ),
    "run_cap": _Key(Whole(1), "greatest number of trials", of_wandb=True),
    "seed": _Key(Whole(0), "of the sampler and the random draw; by default 0"),
    "start": _Key(course.START, "configs that are tried first, or an earlier sweep's folder"),
    "repeats": _Key(SWITCH, "true lets random and bayes try a config again; by default false"),
    "targets": _Key(
        course.TARGETS,
        "metric to the bound that it should keep, or tier to such bounds",
        joined=True,
    ),
    "expect": _Key(
        course.EXPECT, "metric at a step to the bound that it should keep there", joined=True
    ),
    "reference": _Key(
        course.REFERENCE,
        "name to known metrics or a run folder, to compare trials with",
        joined=True,
    ),
    "success": _Key(course.SUCCESS, "conditions over all trials that make the sweep a success"),
    "resources": _Key(course.RESOURCES, "what one trial takes", convert=_resources, joined=True),
    "stages": _Key(
        MapOf(course.STAGE, "a mapping from stage to {set: {...}}"),
        "named budgets; --stage chooses one, by default the last, or all if one promotes",
        joined=True,
    ),
    "ablate": _Key(
        course.ABLATE, "a baseline, and changes that are tried one at a time", joined=True
    ),
    "seeds": _Key(course.SEEDS, "how many seeds each config runs with, or which"),
    "budget": _Key(
        course.BUDGET,
        "what bounds the whole sweep",
        convert=lambda given: Budget(**given),
        joined=True,
    ),
    "sampler": _Key(course.SAMPLER, "the sampler of method bayes; by default tpe"),
    "divergence": _Key(course.DIVERGENCE, "symptom to what it leads to", joined=True),
    "remedy": _Key(course.REMEDY, "symptom to the change of config that answers it", joined=True),
    "phases": _Key(
        ListOf(Whole(1), "a list of steps such as [100, 300]"),
        "steps at which the loss changes its meaning: its best value starts over",
        convert=tuple,
    ),
    "lr_schedule": _Key(course.LrSchedule(), "the schedule that the learning rate should follow"),
    "early_terminate": _Key(_EARLY_TERMINATE, "W&B's rule that stops trials early", of_wandb=True),
    "pruner": _Key(Chosen(tuple(PRUNERS)), "stops trials that cannot win; by default none"),
    **all_options(),
}
# Keys of W&B's files that concern its servers, while sweeps run here.
_WANDB_SERVER = (
    *("entity", "project", "controller", "apiVersion", "kind"),
    *("job", "image_uri", "scheduler", "settings"),
)
# What other tools, or a guess, call them.
_MEANT = {
    **dict.fromkeys(("runs", "max_runs", "num_runs", "n_runs", "count"), "run_cap: 20"),
    **dict.fromkeys(("trials_max", "max_trials", "num_trials", "n_trials"), "run_cap: 20"),
    **dict.fromkeys(("num_samples", "max_samples", "n_samples"), "run_cap: 20"),
    **dict.fromkeys(("retry", "max_retries", "n_retries", "max_failures"), "retries: 2"),
    **dict.fromkeys(("objective", "goal", "direction"), "metric: {name: ..., goal: minimize}"),
    **dict.fromkeys(("time_limit", "max_time", "walltime"), "timeout: 2h, or budget: {hours: 8}"),
    **dict.fromkeys(("search_space", "space", "hyperparameters", "params"), "parameters"),
}
SPEC = Record(
    _KEYS,
    "a mapping",
    meant=_MEANT,
    later={"gate": "Write it under ablate.", "promote": "Write it under a stage."},
    ignored=dict.fromkeys(_WANDB_SERVER, "it concerns W&B's servers, and sweeps run here"),
)
PROGRAMS = program.PROGRAMS
PROGRAM_KEYS = tuple(name for name, key in _KEYS.items() if key.of_program)
"""What is allowed next to program or command; steps is both."""
WANDB_KEYS = (*(name for name, key in _KEYS.items() if key.of_wandb), *_WANDB_SERVER)
"""A file with no other keys than these is W&B's."""
JOINED_KEYS = frozenset(name for name, key in _KEYS.items() if key.joined)


def spec_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those fields of `Spec` that take what the valid keys of the same names hold."""
    found = {field.name: values[field.name] for field in fields(Spec) if field.name in values}
    for name, value in found.items():
        convert = _KEYS[name].convert
        found[name] = value if convert is None else convert(value)
    found["options"] = {
        name: values[name] if option.convert is None else option.convert(values[name])
        for name, option in all_options().items()
        if name in values
    }
    return found


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of the sweep file (draft 2020-12), for editors.

    What a trainer's parameters are, and which keys go together, only `sweep check` knows.
    """
    body = SPEC.schema()
    properties = body["properties"]
    for name, key in _KEYS.items():
        # A key without a value changes nothing.
        properties[name] = {
            "anyOf": [key.kind.schema(), {"type": "null"}],
            "description": key.help,
        }
    properties["version"] = {"enum": [VERSION, None], "description": _KEYS["version"].help}
    starts = [_has(key) for key in PROGRAMS]
    of_wandb = {"required": ["method", "parameters"], "propertyNames": {"enum": list(WANDB_KEYS)}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "sweep file",
        "description": "A set of training runs, for `sweep run`.",
        **body,
        "anyOf": [_has("trainer"), *starts, _has("extends"), of_wandb],
        "not": {"allOf": [_has("trainer"), {"anyOf": starts}]},
        "dependentSchemas": {key: {"anyOf": [*starts, _has("extends")]} for key in PROGRAM_KEYS},
    }


def _has(key: str) -> dict[str, Any]:
    """Return the schema of files in which `key` is more than null."""
    return {"required": [key], "properties": {key: {"not": {"type": "null"}}}}
