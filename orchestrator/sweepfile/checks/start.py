"""What a search has to choose from, and ``start``: what it tries first or knows already."""

from __future__ import annotations

import math
from random import Random
from typing import Any

from orchestrator.sweepfile.checks.parsed_file import WRITTEN, ParsedFile
from orchestrator.sweepfile.conditions.constraints import broken_by
from orchestrator.sweepfile.expand.configs import count_trials
from orchestrator.sweepfile.model.course import Start
from orchestrator.sweepfile.model.spec import Domain, Spec
from orchestrator.sweepfile.program.paths import start_of
from orchestrator.sweepfile.schema.fields import number_hint
from orchestrator.sweepfile.space.distributions import limits, multiple, quantile, whole_steps
from orchestrator.sweepfile.space.grid import canonical
from orchestrator.sweepfile.yaml.node import Node, found


def read_start(file: ParsedFile, zips: tuple[tuple[str, ...], ...]) -> Start | None:
    """Return what a search starts from; None if the file has no valid ``start``."""
    _check_named(file)
    given = file.values.get("start")
    if not given:
        return None
    entry: dict[str, Any] = given if isinstance(given, dict) else {"configs": given}
    if file.method == "grid":
        message = "a grid runs all its configs anyway. Write method: random or bayes."
        file.error(message, "start")
    if not entry:
        file.error("needs configs or from.", "start")
    configs = [
        _config(file, settings, place, zips)
        for place, settings in zip(_places(file), entry.get("configs", ()), strict=True)
    ]
    source, node = entry.get("from"), file.node("start", "from")
    if source is None:
        return Start(tuple(configs))
    if file.method != "bayes":
        file.error(
            f"{file.method} learns nothing from results. Write method: bayes.", "start", "from"
        )
    path = start_of(node, file.folder) / source
    if not (path / "trials").is_dir():
        message = f"no folder of a sweep: {path}. Write results/NAME."
        file.error(message, "start", "from", at=node)
    return Start(tuple(configs), str(path.resolve()))


def check_start(file: ParsedFile, spec: Spec) -> None:
    """Report configs to start from that would not run."""
    configs = spec.start.configs if spec.start is not None else ()
    needed = len(configs) * max(len(spec.seeds), 1)
    if spec.run_cap is not None and needed > spec.run_cap:
        message = f"needs {needed} trials, but run_cap is {spec.run_cap}: the last do not run."
        file.warn(message, "start")
    for place, chosen in enumerate(configs):
        try:
            broken = broken_by(spec, {**spec.fixed, **chosen})
        except ValueError:
            return  # conditions that wait for each other, which is reported where they are
        if broken is not None:
            message = f"config {place} breaks a constraint ({broken}). Change one of the two."
            file.error(message, "start")


def _places(file: ParsedFile) -> list[int]:
    """Return the places in the file of the configs that are mappings; others are left out."""
    node = file.node("start")
    listed = node if isinstance(node.value, list) else file.node("start", "configs")
    items = listed.value if isinstance(listed.value, list) else ()
    return [place for place, item in enumerate(items) if isinstance(item.value, dict)]


def _check_named(file: ParsedFile) -> None:
    """Report named trials that take a parameter away from the search of bayes."""
    searched = {n for n, known in file.parameters.items() if not known.domain.is_constant}
    for name, entry in file.mapping("trials").items() if file.method == "bayes" else ():
        path = ("trials", entry.get(WRITTEN, name), "set")
        pinned = {n: node for n, node in entry.get("set", {}).items() if n in searched}
        shown = ", ".join(f"{n}: {node.value}" for n, node in pinned.items())
        advice = f"To try these values first, write start: [{{{shown}}}]."
        if pinned and pinned.keys() == searched:
            message = "sets all parameters, so that bayes has nothing to propose."
            file.error(f"{message} {advice}", *path)
        elif pinned:
            message = f"fixes {' and '.join(pinned)} in each trial of '{name}'. {advice}"
            file.warn(message, *path)


def _config(
    file: ParsedFile, settings: dict[str, Node], place: int, zips: tuple[tuple[str, ...], ...]
) -> dict[str, Any]:
    """Return the values of one config; those that it does not name are drawn."""
    searched = {
        name: declared.domain
        for name, declared in file.parameters.items()
        if not declared.domain.is_constant and name not in file.strongest
    }
    config: dict[str, Any] = {}
    for name, node in settings.items():
        path = ("start", str(place), name)
        if name in file.strongest:
            continue
        if name not in searched:
            hint = file.log.hint(name, searched) or f" Choices: {', '.join(searched)}."
            message = f"no parameter '{name}' with several values under parameters.{hint}"
            file.error(message, *path, at=node)
            continue
        value = value_in(searched[name], node.plain())
        if value is None:
            allowed = _allowed(searched[name])
            hint = number_hint(node.value) or " Add it there."
            file.error(f"not {allowed} of {name} (found {found(node)}).{hint}", *path, at=node)
        else:
            config[name] = value[0]
    seed = file.values.get("seed", 0)
    for group in [*zips, *((name,) for name in searched if not any(name in g for g in zips))]:
        share = Random(f"{seed}:start:{place}:{'+'.join(group)}").random()
        _fill(
            file, config, group, {name: searched[name] for name in group if name in searched}, share
        )
    return config


def _fill(
    file: ParsedFile,
    config: dict[str, Any],
    group: tuple[str, ...],
    domains: dict[str, Domain],
    share: float,
) -> None:
    """Give the parameters of a group that have no value yet one that is drawn."""
    if len(group) == 1:
        config.update({n: quantile(d, share) for n, d in domains.items() if n not in config})
        return
    rows = list(zip(*(domain.values for domain in domains.values()), strict=False))
    wanted = {name: canonical(config[name]) for name in domains if name in config}
    fitting = [
        row
        for row in (dict(zip(domains, row, strict=True)) for row in rows)
        if all(canonical(row[name]) == value for name, value in wanted.items())
    ]
    if fitting:
        config.update(fitting[int(share * len(fitting))])
    elif rows:
        file.error(f"zip has no such values of {' and '.join(wanted)} together.", "start")


def _allowed(domain: Domain) -> str:
    """Return what a value must be, for a message."""
    if domain.values:
        return "among the values"
    low, high = limits(domain)
    steps = "" if domain.q is None else f" in steps of {domain.q:g}"
    whole = " of whole numbers" if domain.distribution == "int_uniform" else ""
    return f"in the range{whole} {low:g} to {high:g}{steps}"


def value_in(domain: Domain, value: Any) -> tuple[Any] | None:
    """Return a value in the form of the domain, in a tuple; None if the domain lacks it."""
    if domain.values:
        same = canonical(value, whole_is_int=True)
        exact = [known for known in domain.values if canonical(known) == canonical(value)]
        close = [known for known in domain.values if canonical(known, whole_is_int=True) == same]
        return next(((known,) for known in (*exact, *close)), None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if domain.distribution == "int_uniform":
        assert domain.low is not None
        assert domain.high is not None
        fits = domain.low <= value <= domain.high and float(value).is_integer()
        return (int(value),) if fits else None
    if domain.q is not None:
        least, most = whole_steps(domain)
        count = round(value / domain.q)
        near = multiple(count, domain.q)
        fits = least <= count <= most and math.isclose(near, value, abs_tol=1e-6 * domain.q)
        return (near,) if fits else None
    low, high = limits(domain)
    return (float(value),) if low <= value <= high else None


def shortage(spec: Spec) -> str | None:
    """Return why fewer trials can be drawn than ``run_cap`` requests; None if that is not so."""
    if spec.method == "grid" or spec.run_cap is None:
        return None
    drawn, wanted = count_trials(spec) or 0, spec.run_cap
    if drawn >= wanted:
        return None
    if spec.constraints:
        why = "the constraints leave no other config that a random draw finds. Relax them"
    else:
        why = "there are no other configs. Add values, or write repeats: true to run some again"
    return f"{wanted:,} trials are requested, but only {drawn:,} can be drawn: {why}."
