"""The table of the sweep file: every key, what it takes, and what it is for.

The checker reads files by this table and `sweep schema` prints it; a new key is a new line here.
"""

from __future__ import annotations

from orchestrator.spec.domains import Block
from orchestrator.spec.kinds import Anything, Limit, Regex, Settings, Size, Text, Whole, Word
from orchestrator.spec.shapes import Either, Key, ListOf, MapOf, Record

VERSION = 1
METHODS = ("grid", "random", "bayes")
GOALS = ("minimize", "maximize")
PRUNERS = ("none", "median", "hyperband")
STYLES = ("--k=v", "hyphen-space")
PROGRAM_KEYS = ("args", "python", "outputs", "metrics")

_METRIC = Record(
    {
        "name": Key(Text("the name of a metric"), "a reported metric, such as val_mae", True),
        "goal": Key(Word(GOALS), "which way is better; by default what the trainer says"),
    },
    expected="a mapping such as {name: val_mae, goal: minimize}",
    later={
        "target": "Use run_cap to bound the sweep.",
        "impute": "Failed trials are told to the sampler as failed.",
        "impute_while_running": "Leave it out.",
    },
)
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
_STAGE = Record(
    {"set": Key(Settings(), "the parameter values of this stage")},
    expected="a mapping such as {set: {data_fraction: 0.05, epochs: 20}}",
    later={
        "promote": "Run one stage by --stage, then the next.",
        "continue": "Run one stage by --stage, then the next.",
    },
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
_ARGS = Record(
    {
        "style": Key(Word(STYLES), "how a value is passed: --lr=0.1 or --lr 0.1"),
        "booleans": Key(Word(("flag", "value")), "--amp or nothing (flag), or --amp=True (value)"),
    },
    expected="--k=v, hyphen-space, or a mapping such as {style: --k=v, booleans: flag}",
)
_METRICS = Record(
    {
        "pattern": Key(
            Either(Regex(), ListOf(Regex(), "a list of regular expressions")),
            "regular expressions whose named groups are metrics; a group called step is the step",
            True,
        )
    },
    expected="a mapping such as {pattern: 'val_mae=(?P<val_mae>[0-9.]+)'}",
)
_CLOUD = "it concerns W&B's servers, and sweeps run here"

SPEC = Record(
    {
        "version": Key(Whole(1), "version of the file's language; 1"),
        "name": Key(Text("a name"), "the sweep's name; by default the file's"),
        "description": Key(Text(empty=True), "what the sweep is for"),
        "trainer": Key(Text("the name of a trainer"), "the training system that runs the trials"),
        "program": Key(Text("a script"), "a script of your own that runs the trials"),
        "args": Key(Either(Word(STYLES), _ARGS), "how the program gets its parameters"),
        "python": Key(Text("an interpreter"), "the interpreter of a .py program"),
        "outputs": Key(
            Text("a glob such as experiments/*/"), "the folder that the program makes for a trial"
        ),
        "metrics": Key(_METRICS, "how metrics are found in the program's output"),
        "method": Key(Word(METHODS), "how parameters make configs; by default grid"),
        "metric": Key(
            Either(Text("the name of a metric"), _METRIC),
            "what ranks the trials; by default the first val_ metric that is no loss",
        ),
        "fixed": Key(Settings(), "parameter values that all trials share"),
        "parameters": Key(
            MapOf(Block(), "a mapping from parameter to its values"),
            "the search space: parameter to value, values, or min and max",
        ),
        "trials": Key(
            MapOf(_TRIAL, "a mapping from name to {set: {...}}"),
            "named trials; with parameters, each is multiplied by them",
        ),
        "run_cap": Key(Whole(1), "greatest number of trials"),
        "seed": Key(Whole(0), "of the sampler and the random draw; by default 0"),
        "targets": Key(
            MapOf(Limit(), 'a mapping such as {t20_mae: "<= 0.020"}'),
            "metric to the bound that it should keep",
        ),
        "resources": Key(_RESOURCES, "what one trial takes"),
        "stages": Key(
            MapOf(_STAGE, "a mapping from stage to {set: {...}}"),
            "named budgets; --stage chooses one, by default the last",
        ),
        "pruner": Key(Word(PRUNERS), "stops trials that cannot win; by default none"),
    },
    expected="a mapping",
    later={
        "early_terminate": "Use pruner: hyperband.",
        "command": "Use program, python and args.",
        "zip": "Use trials.",
        "ablate": "Use trials.",
        "when": "Use trials.",
        "constraints": "Use trials for the configs that may run.",
        "seeds": "Vary seed under parameters.",
        "budget": "Use run_cap.",
        "reference": "Use targets.",
        "success": "Use targets.",
        "extends": "Use --set for the values that differ.",
        "remedy": "Diverging trials are stopped.",
        "gate": "Run one part after the other.",
        "sampler": "Use method: bayes.",
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
