"""The table of the sweep file: every key, what it takes, and what it is for.

The checker reads files by this table and `sweep schema` prints it; a new key is a new line here.
"""

from __future__ import annotations

from orchestrator.sweepfile.schema import course, program
from orchestrator.sweepfile.schema.containers import (
    Either,
    Key,
    ListOf,
    ListOr,
    MapOf,
    Record,
    Words,
)
from orchestrator.sweepfile.schema.fields import (
    Anything,
    Conditional,
    Number,
    Settings,
    Size,
    Switch,
    Text,
    Whole,
    Word,
)
from orchestrator.sweepfile.schema.program import METRICS
from orchestrator.sweepfile.space.domain import Block

VERSION = 1
METHODS = ("grid", "random", "bayes")
GOALS = ("minimize", "maximize")
PRUNERS = ("none", "median", "hyperband")
IMPUTED = ("latest", "best", "worst")
PROGRAMS = ("program", "command", "steps")
"""What starts a person's own program."""
PROGRAM_KEYS = ("args", "python", "outputs", "metrics", *program.KEYS)
"""What stands beside program or command; steps stands for itself, too."""
WANDB_KEYS = (
    "name",
    "description",
    "program",
    "command",
    "method",
    "metric",
    "parameters",
    "early_terminate",
    "run_cap",
    "entity",
    "project",
    "controller",
    "apiVersion",
    "kind",
    "job",
    "image_uri",
    "scheduler",
    "settings",
)
"""A file with no other keys than these is W&B's."""
_GOAL_SPELLINGS = {
    "min": "minimize",
    "minimise": "minimize",
    "minimum": "minimize",
    "minimize": "minimize",
    "max": "maximize",
    "maximise": "maximize",
    "maximum": "maximize",
    "maximize": "maximize",
}

_METRIC = Record(
    {
        "name": Key(Text("the name of a metric"), "a reported metric, such as val_mae", True),
        "goal": Key(
            Word(GOALS, _GOAL_SPELLINGS),
            "which way is better; by default what the trainer says",
        ),
        "target": Key(Number(), "the sweep may end once a trial has reached it"),
        "impute": Key(Word(IMPUTED), "what a failed trial counts as for the sampler"),
        "impute_while_running": Key(Word((*IMPUTED, "false")), "the same for a trial that runs"),
    },
    expected="a mapping such as {name: val_mae, goal: minimize}",
)
_METRICS_RANKING = ListOf(Either(Text("the name of a metric"), _METRIC), "a list of metrics")
_TRIAL = Record(
    {
        "set": Key(Settings(), "the parameter values that make this trial"),
        "note": Key(Text(empty=True), "what the trial is for"),
        "risk": Key(Text(empty=True), "what may go wrong"),
        "expect": Key(
            MapOf(Anything(), "a mapping from metric to what is expected"),
            "metric name to the words or range that are expected",
        ),
    },
    expected="a mapping such as {set: {lr: 0.001}, note: ...}",
    later={"gate": "Watch the first trials by `sweep status --watch`."},
    empty=True,
)
_RESOURCES = Record(
    {
        "gpu_memory": Key(Size(), "GPU memory that one trial takes, such as 8GB"),
        "cpus": Key(Whole(1), "CPU cores of one trial"),
        "gpus": Key(Whole(0), "GPUs of one trial; 0 keeps it off GPUs"),
    },
    expected="a mapping such as {gpu_memory: 8GB, cpus: 4}",
)
_EARLY_TERMINATE = Record(
    {
        "type": Key(Word(("hyperband",)), "the rule; hyperband is the only one", True),
        "min_iter": Key(Whole(1), "the first band, in reports of the metric"),
        "max_iter": Key(Whole(1), "reports of a whole trial; bands are counted down from it"),
        "s": Key(Whole(1), "how many bands are counted down from max_iter"),
        "eta": Key(Number(least=1.0), "each band is so many times the one before; by default 3"),
        "strict": Key(Switch(), "compare the value at the band, not the best so far"),
    },
    expected="a mapping such as {type: hyperband, min_iter: 3}",
)
_CONSTRAINT = Record(
    {
        "require": Key(Conditional(), "the condition that every config must keep"),
        "forbid": Key(Conditional(), "the condition that no config may meet"),
        "reason": Key(Text(empty=True), "why"),
    },
    expected="a condition, or a mapping such as {forbid: batch_size < 4, reason: ...}",
)
_NAME = Text("the name of a parameter")
_CLOUD = "it concerns W&B's servers, and sweeps run here"

SPEC = Record(
    {
        "version": Key(Whole(1), "version of the file's language; 1"),
        "name": Key(Text("a name"), "the sweep's name; by default the file's"),
        "description": Key(Text(empty=True), "what the sweep is for"),
        "trainer": Key(Text("the name of a trainer"), "the training system that runs the trials"),
        "program": Key(Text("a script"), "a script of your own that runs the trials"),
        "command": Key(Words(), "the words that start the program, with W&B's macros"),
        "args": program.ARGS,
        "python": Key(Text("an interpreter"), "the interpreter of a .py program"),
        "outputs": Key(
            Text("a glob such as experiments/*/"), "the folder that the program makes for a trial"
        ),
        "metrics": Key(METRICS, "where the program's metrics and arrays are found"),
        **program.KEYS,
        "method": Key(Word(METHODS), "how parameters make configs; by default grid"),
        "metric": Key(
            Either(Text("the name of a metric"), ListOr(_METRICS_RANKING, _METRIC)),
            "what ranks the trials; by default the first val_ metric that is no loss",
        ),
        "extends": Key(
            Text("the path of a sweep file"),
            "another sweep file, of which this one says only what differs",
        ),
        "fixed": Key(Settings(), "parameter values that all trials share"),
        "parameters": Key(
            MapOf(Block(), "a mapping from parameter to its values"),
            "the search space: parameter to value, values, or min and max",
        ),
        "zip": Key(
            ListOf(
                Either(Text("the name of a parameter"), ListOf(_NAME, "a list of parameters")),
                "a list of parameters, or of such lists",
            ),
            "parameters whose values move together, the first with the first and so on",
        ),
        "constraints": Key(
            ListOf(Either(Conditional(), _CONSTRAINT), "a list of conditions"),
            "what configs must keep; others are not run, but listed with the reason",
        ),
        "trials": Key(
            MapOf(_TRIAL, "a mapping from name to {set: {...}}"),
            "named trials; with parameters, each is multiplied by them",
        ),
        "run_cap": Key(Whole(1), "greatest number of trials"),
        "seed": Key(Whole(0), "of the sampler and the random draw; by default 0"),
        "targets": Key(
            course.TARGETS,
            "metric to the bound that it should keep, or tier to such bounds",
        ),
        "expect": Key(course.EXPECT, "metric at a step to the bound that it should keep there"),
        "reference": Key(
            course.REFERENCE, "name to known metrics or a run folder, to hold trials against"
        ),
        "success": Key(course.SUCCESS, "conditions over all trials that make the sweep a success"),
        "resources": Key(_RESOURCES, "what one trial takes"),
        "stages": Key(
            MapOf(course.STAGE, "a mapping from stage to {set: {...}}"),
            "named budgets; --stage chooses one, by default the last, or all where one promotes",
        ),
        "ablate": Key(course.ABLATE, "a baseline, and changes that are tried one at a time"),
        "seeds": Key(course.SEEDS, "how many seeds each config runs with, or which"),
        "budget": Key(course.BUDGET, "what bounds the whole sweep"),
        "sampler": Key(course.SAMPLER, "the sampler of method bayes; by default tpe"),
        "divergence": Key(course.DIVERGENCE, "symptom to what it leads to"),
        "remedy": Key(course.REMEDY, "symptom to the change of config that answers it"),
        "lr_schedule": Key(course.LR_SCHEDULE, "the schedule that the learning rate should follow"),
        "early_terminate": Key(_EARLY_TERMINATE, "W&B's rule that stops trials early"),
        "pruner": Key(Word(PRUNERS), "stops trials that cannot win; by default none"),
    },
    expected="a mapping",
    later={
        "gate": "Write it under ablate.",
        "promote": "Write it under a stage.",
    },
    ignored={
        "entity": _CLOUD,
        "project": _CLOUD,
        "controller": _CLOUD,
        "apiVersion": _CLOUD,
        "kind": _CLOUD,
        "job": _CLOUD,
        "image_uri": _CLOUD,
        "scheduler": _CLOUD,
        "settings": _CLOUD,
    },
)
