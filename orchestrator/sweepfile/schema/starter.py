"""The text of a first sweep file for a trainer or a script, with everything else in comments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from orchestrator.metrics import goal
from orchestrator.sweepfile.program.parsers.script_options import Argument
from orchestrator.sweepfile.trainer_schemas import TrainerParameter, TrainerSchema, resolve

SCHEMA_FILE = "sweep.schema.json"
_WIDTH = 38  # column at which comments begin
_RATES = ("lr", "learning_rate", "learningrate", "base_lr")
_METHOD = "method: grid                            # or random, bayes"
_NO_METRIC = "# metric: {name: val_loss, goal: minimize}"
_MORE = """\
# What more a file can hold; remove the # of what you want. `sweep schema` lists all keys.
# run_cap: 20                           # greatest number of trials; random and bayes need one
# constraints: [{rate} <= {least}]  # configs that break one are not run
{seeds}# stages:                               # --quick runs the first; all run if one promotes
#   quick: {{set: {{{budget}}}, promote: {{if: stable}}}}
#   full: {{}}
# ablate:                               # instead of parameters: one change at a time
#   changes: {{other: {{set: {{{rate}: {least}}}}}}}
# sampler: gp                           # of bayes: tpe, gp, cmaes, qmc, random, nsga2
# budget: {{hours: 8, failures: 3}}       # the sweep ends at the first limit that is reached
# pruner: median                        # stop trials that cannot win
# divergence: {{plateau: stop}}           # what a symptom leads to: stop, warn, remedy, ignore
# remedy: {{explosion: {{set: {{{rate}: "*0.1"}}}}}}  # answer it by another config
# lr_schedule: {{cosine: {{lr: 0.001, total: 50}}, per: epoch}}  # compare the learning rate with it
# resources: {{gpu_memory: 8GB}}          # memory of one trial, which decides how many run at once
# targets: {{{metric}: "{bound}"}}        # bounds that the table checks
# expect: {{"{metric}@1": "{early}"}}      # the same at a step
# reference: {{paper: {{{metric}: {known}}}}}  # known results, to compare trials with
# success: any {metric} {bound}         # what makes the sweep a success
"""


@dataclass(frozen=True)
class Probed:
    """What a run of a program has shown.

    Attributes:
        words: arguments that every trial has unchanged, such as a sub-command.
        given: parameter name to the value that it had in that run.
        style: how the program takes its arguments; None if its options show it.
        metrics: the entries of ``metrics``.
        notes: what a reader of the file should know, a comment each.
        launcher: the words in front of the program, such as ``torchrun``.
        copies: True if each trial should run in a copy of the folder.
        env: environment variables that the run had and the program reads.
    """

    words: tuple[str, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)
    style: str | None = None
    outputs: str | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    metric: str | None = None
    goal: str = "minimize"
    notes: tuple[str, ...] = ()
    launcher: tuple[str, ...] = ()
    copies: bool = False
    env: Mapping[str, str] = field(default_factory=dict)


def for_trainer(schema: TrainerSchema) -> str:
    """Return a file that sweeps a trainer."""
    values = resolve(schema, {})
    lines = []
    for name, known in schema.parameters.items():
        unit = f"[{known.unit}]" if known.unit else ""
        comment = " ".join(filter(None, (known.help, unit, _bounds(known))))
        lines.append(_Line(name, values[name], known.type, comment, known.low, known.high))
    metric = schema.default_metric or "val_loss"
    head = [f"trainer: {_scalar(schema.name)}", _METHOD, f"metric: {metric}"]
    return _text(head, lines, Probed(metric=metric, goal=goal(metric) or "minimize"))


def for_program(
    program: str,
    arguments: Sequence[Argument],
    probed: Probed | None = None,
    *,
    args: str | None = None,
    params_file: str = "",
) -> str:
    """Return a file that sweeps a script with these options.

    Args:
        probed: None if it was not run.
        args: the style of arguments; None chooses one that suits all options, and ``env`` passes
            them as environment variables.
        params_file: the file from which the program reads its parameters; "" if there is none.
    """
    hyphens = any("-" in item.option for item in arguments)
    # One style would spell either --batch_size or --no-cache wrong, so both stay as they are.
    is_mixed = args is None and hyphens and any("_" in item.option for item in arguments)
    # Several values of one option are several words.
    is_spaced = is_mixed or any(item.takes_several for item in arguments)
    style = "hyphen-space" if hyphens and not is_mixed else "--k v" if is_spaced else "--k=v"
    style = (probed.style if probed else None) or style
    is_flag = hyphens or any(item.is_switch for item in arguments)
    way, comment = (
        f"{{style: {style}, booleans: {'flag' if is_flag else 'value'}}}",
        ("--lr 0.1, or --k=v: --lr=0.1; switches as --amp, or nothing"),
    )
    if args is not None and (args == "hydra" or not (probed and probed.style)):
        way, comment = args, "each option as the script's own parser takes it"
    head = [f"program: {_scalar(program)}", _commented(f"args: {way}", comment)]
    if params_file:
        head = [head[0], f"params_file: {_item(params_file)}"]
        is_named = probed is not None and any("${params_file}" in word for word in probed.words)
        head += [] if is_named or (probed and probed.copies) else ["workdir: copy"]
    elif args == "env":
        named = probed.given if probed else {}
        arguments = [x for x in arguments if x.default is not None or x.option in named]
        rows = ", ".join(f"{x.option}: '${{params:{x.option}}}'" for x in arguments)
        head = [head[0], "args: none", f"env: {{{rows}}}"]
    if probed is not None and probed.env:
        rows = ", ".join(f"{name}: {_item(text)}" for name, text in probed.env.items())
        head.append(f"env: {{{rows}}}")
    if probed is not None and (probed.words or probed.launcher):
        start = ["python"] if program.endswith(".py") else []
        launcher = probed.launcher or start
        is_module = len(launcher) > 1 and launcher[-2] == "-m"
        words = [*launcher, *([] if is_module else ["${program}"]), *probed.words]
        words += [] if params_file else ["${args}"]
        head.append(f"command: [{', '.join(map(_item, words))}]")
    head.append(_METHOD)
    if probed is None:
        probed = Probed()
        head += [
            _NO_METRIC,
            "# metrics: {pattern: 'step (?P<step>\\d+).*val_loss (?P<val_loss>\\S+)'}"
            "  # finds it in the output",
            "# outputs: experiments/*/               # the folder that the script makes for itself",
        ]
    else:
        head += _probed_head(probed)
    names = {item.name: item.option if is_mixed else item.name for item in arguments}
    lines = []
    for item in arguments:
        choices = f"one of {', '.join(map(str, item.choices))}" if item.choices else ""
        required = "must be given" if item.is_required else ""
        comment = "; ".join(filter(None, (item.help, choices, required)))
        lines.append(_Line(names[item.name], item.default, item.type, comment))
    given = {names.get(name, name): value for name, value in probed.given.items()}
    if args == "env":  # each variable that env names needs a value
        given = {x.option: x.default for x in arguments if x.default is not None} | given
    return _text(head, lines, replace(probed, given=given))


def _probed_head(probed: Probed) -> list[str]:
    head = [_NO_METRIC]
    if probed.metric is not None:
        head = [f"metric: {{name: {_item(probed.metric)}, goal: {probed.goal}}}"]
    if probed.outputs is not None:
        head.append(f"outputs: {_item(probed.outputs)}")
    if probed.copies:
        copy = "workdir: copy".ljust(_WIDTH)
        head.append(f"{copy}  # each trial writes into a folder of its own")
    if probed.metrics:
        head.append("metrics:")
    for name, value in probed.metrics.items():
        if isinstance(value, Mapping):
            inner = ", ".join(f"{_item(k)}: {_item(v)}" for k, v in value.items())
            head.append(f"  {name}: {{{inner}}}")
        elif isinstance(value, str):
            head.append(f"  {name}: {_item(value)}")
        else:
            head += [f"  {name}:", *(f"    - {_item(item)}" for item in value)]
    return head + [f"# {_comment(note)}" for note in probed.notes]


def _bounds(known: TrainerParameter) -> str:
    if known.choices:
        return f"(one of {', '.join(map(str, known.choices))})"
    if known.low is not None and known.high is not None:
        return f"({known.low:g} to {known.high:g})"
    if known.low is not None:
        return f"(from {known.low:g})"
    return f"(up to {known.high:g})" if known.high is not None else ""


@dataclass(frozen=True)
class _Line:
    """A parameter as a line of the file."""

    name: str
    default: Any
    type: type | None
    comment: str
    low: float | None = None
    high: float | None = None

    def tried(self) -> list[Any]:
        """Return the default and values around it; usual rates if there is none."""
        if self.type is bool:
            return [False, True]
        if not isinstance(self.default, int | float) or not self.default:
            return [0.001, 0.01]
        if self.type is int or isinstance(self.default, int):
            around = [max(self.default // 2, 1), self.default, self.default * 2]
        else:
            around = [self.default / 3, self.default, self.default * 3]
        around = [float(f"{value:.2g}") if isinstance(value, float) else value for value in around]
        kept = [
            value
            for value in dict.fromkeys(around)
            if (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
        ]
        return kept or [self.default]


def _text(head: Sequence[str], lines: Sequence[_Line], probed: Probed) -> str:
    given = probed.given
    # A learning rate varies, else the first number.
    kinds = (int, float)
    numbers = [x for x in lines if x.type in kinds and type(x.default) in kinds and x.default]
    rates = [line for line in lines if _is_rate(line.name) and line.type in (float, None)]
    switches = [line for line in lines if line.type is bool and line.name not in given]
    chosen = next(iter(rates or numbers or switches), None)
    if chosen is None:  # what was typed, though nothing declares it
        typed = [_Line(name, value, type(value), "") for name, value in given.items()]
        numbers = [x for x in typed if x.type in kinds and x.default]
        numbers.sort(key=lambda x: (not _is_rate(x.name), x.type is int))
        usual = [x for x in numbers if _is_rate(x.name) or x.type is float]
        chosen = next(iter(usual), None)
        lines = [*lines, chosen] if chosen is not None else lines
    if chosen is not None and chosen.default is None and chosen.name in given:
        lines = [replace(x, default=given[x.name]) if x is chosen else x for x in lines]
        chosen = next(line for line in lines if line.name == chosen.name)
    names = [line.name for line in lines]
    parts = [
        f"# yaml-language-server: $schema={SCHEMA_FILE}",
        "# Check: sweep check FILE. What would run: sweep plan FILE. Run: sweep run FILE.",
        *head,
        "",
    ]
    fixed = [line for line in lines if line is not chosen]
    if fixed or given:
        parts.append("fixed:                                  # what all trials share")
        others = {name: value for name, value in given.items() if name not in names}
        parts += [f"  {_scalar(name)}: {_scalar(value)}" for name, value in others.items()]
        for line in fixed:
            row, by_probe = f"  # {_scalar(line.name)}: {_scalar(line.default)}", ""
            if line.name in given:
                row = f"  {_scalar(line.name)}: {_scalar(given[line.name])}"
                if line.default not in (None, given[line.name]):
                    by_probe = f"as in the run of probe; its default is {_scalar(line.default)}"
            parts.append(_commented(row, "; ".join(filter(None, (by_probe, line.comment)))))
        parts.append("")
    parts.append("parameters:                             # what varies")
    rate, least = "lr", "0.1"
    if chosen is None:
        parts.append("  # lr: {values: [0.001, 0.01]}")
    else:
        values = [_scalar(value) for value in chosen.tried()]
        rate, least = _scalar(chosen.name), values[-1]
        parts.append(_commented(f"  {rate}: {{values: [{', '.join(values)}]}}", chosen.comment))
    parts.append("  # other: {min: 0.1, max: 1.0}           # a range, for random and bayes")
    first = "epochs: 2"
    if names and "epochs" not in names:
        line = next((each for each in lines if each.default is not None), lines[0])
        first = f"{_scalar(line.name)}: {_scalar('...' if line.default is None else line.default)}"
    bound, early, known = "<= 0.05", "<= 0.5", "0.04"
    if probed.goal == "maximize":
        bound, early, known = ">= 0.9", ">= 0.5", "0.95"
    more = _MORE.format(
        metric=probed.metric or "val_loss",
        budget=first,
        rate=rate,
        least=least,
        seeds=_seeds(names),
        bound=bound,
        early=early,
        known=known,
    )
    return "\n".join([*parts, "", more])


def _seeds(names: Sequence[str]) -> str:
    """Return the line about ``seeds``; "" if parameters are known and none is a seed."""
    known = sorted((name for name in names if name.lower().endswith("seed")), key=len)
    if names and not known:
        return ""
    is_usual = not known or known[0] == "seed"
    value = "3" if is_usual else f"{{values: 3, parameter: {_item(known[0])}}}"
    return _commented(f"# seeds: {value}", "run each config with so many seeds") + "\n"


def _is_rate(name: str) -> bool:
    return name.lower().replace("-", "_").rpartition(".")[2] in _RATES


def _commented(row: str, comment: str) -> str:
    return f"{row.ljust(_WIDTH)}  # {_comment(comment)}" if comment else row


def _comment(text: str) -> str:
    """Return text on one line, without characters that YAML refuses."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _item(text: str) -> str:
    """Return text in quotes if YAML would read anything else, also inside brackets."""
    if re.fullmatch(r"[A-Za-z_][\w./-]*", text) and _scalar(text) == text:
        return text
    return "'" + text.replace("'", "''") + "'" if text.isprintable() else _scalar(text)


def _scalar(value: Any) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, float):
        return re.sub(r"e([-+])0?", r"e\1", repr(value))
    is_text = isinstance(value, str)
    plain = not is_text or value.isprintable()
    text: str = yaml.safe_dump(
        value,
        default_flow_style=True,
        default_style=None if plain else '"',  # line ends and the like as escapes
        width=10**6,
        allow_unicode=plain and is_text,
    )
    return text.removesuffix("...\n").strip() or "''"
