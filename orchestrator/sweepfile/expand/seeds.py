"""``seeds``: each config once with each of them."""

from __future__ import annotations

from typing import Any

from orchestrator.sweepfile.checks.parsed_file import ParsedFile
from orchestrator.sweepfile.schema.fields import join
from orchestrator.sweepfile.yaml.node import Node

PARAMETER = "seed"
"""The parameter that takes the seed, unless the file names another."""
MOST = 1000


def read_seeds(file: ParsedFile) -> tuple[tuple[int, ...], str]:
    """Return the seeds, and the parameter that takes them.

    A number is so many seeds, counted up from the sweep's ``seed``.
    """
    given: Any = file.values.get("seeds")
    if given is None:
        return (), PARAMETER
    log, where = file.log, file.key_node("seeds")
    entry = given if isinstance(given, dict) else {"values": given}
    values = entry.get("values")
    parameter = entry.get("parameter", PARAMETER)
    if values is None:
        return (), PARAMETER
    key = "seeds.values" if isinstance(given, dict) else "seeds"
    count = values if isinstance(values, int) else len(values)
    if count > MOST:
        log.at(where, key, f"must be at most {MOST:,} seeds, but got {count:,}.")
        return (), PARAMETER
    first = file.values.get("seed", 0)
    seeds = tuple(range(first, first + values)) if isinstance(values, int) else tuple(values)
    double = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if double:
        log.at(where, key, f"must be seeds that differ, but {double[0]} is repeated.")
    _check_parameter(file, parameter, seeds, where)
    _refuse_set(file, parameter)
    return seeds, parameter


def _check_parameter(file: ParsedFile, parameter: str, seeds: tuple[int, ...], where: Node) -> None:
    """Check that a trainer takes such seeds."""
    schema = file.declared
    if schema is None:
        return
    known = schema.parameters.get(parameter)
    if known is None:
        hint = file.log.hint(parameter, schema.parameters)
        message = f"needs a parameter '{parameter}', which trainer '{schema.name}' has not.{hint}"
        file.log.at(where, "seeds", message)
        return
    if known.type not in (int, float):
        file.log.at(where, "seeds", f"must go into a whole number, but {parameter} is none.")
        return
    for seed in seeds:
        low, high = known.low, known.high
        if (low is not None and seed < low) or (high is not None and seed > high):
            bounds = f"from {low:g}" if low is not None else ""
            bounds += f" to {high:g}" if high is not None else ""
            message = f"must be what {parameter} takes ({bounds.strip()}), but got {seed}."
            file.log.at(where, "seeds", message)
            return


def _refuse_set(file: ParsedFile, parameter: str) -> None:
    """Refuse any other place that sets the seed: the replicates of a config would be the same."""
    message = "must not be set beside seeds, which set it for each replicate. Remove one."
    for path, settings in file.settings():
        if parameter in settings:
            file.log.at(settings[parameter], join(*path, parameter), message)
    if parameter in file.parameters:
        file.log.at(file.parameters[parameter].node, file.key_of(parameter), message)
    if parameter in file.strongest:
        file.log.at(file.strongest[parameter], parameter, message)
    for symptom, entry in file.values.get("remedy", {}).items():
        if parameter in entry.get("set", {}):
            where = entry["set"][parameter]
            file.log.at(where, join("remedy", symptom, "set", parameter), message)
