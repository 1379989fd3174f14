"""The processes that load a trial's data beside it; each of them takes a core."""

from __future__ import annotations

from typing import Any

from orchestrator.sweepfile.expand.configs import make_config
from orchestrator.sweepfile.model.spec import Domain, Spec
from orchestrator.sweepfile.trainer_schema import resolve, trainer_schema

NAME = "num_workers"
"""The parameter that says how many, as torch's DataLoader calls it. Of a dotted or hyphenated
parameter of a script (``data.num-workers``) the last part counts."""


def loader_workers(spec: Spec) -> int:
    """Return the greatest number of loader processes that a trial of `spec` starts.

    Defaults of a trainer count; those of a script are not known. The greatest, because a plan's
    slots are for any of its trials.
    """
    schema = None if spec.trainer is None else trainer_schema(spec.trainer, spec.path.parent)
    greatest = 0
    for number in range(max(1, len(spec.trials))):
        config = make_config(spec, number, {}).config
        known = config if schema is None else resolve(schema, config)
        # What is searched is in no config yet, and its default will not be used.
        searched = {
            name: _greatest(domain)
            for name, domain in spec.parameters.items()
            if name not in config
        }
        values = [value for name, value in {**known, **searched}.items() if _is_workers(name)]
        greatest = max([greatest, *(value for value in values if type(value) is int)])
    return greatest


def _is_workers(name: str) -> bool:
    return name.replace("-", "_").rpartition(".")[2] == NAME


def _greatest(domain: Domain) -> Any:
    if domain.high is not None:
        return int(domain.high)
    return max((value for value in domain.values if type(value) is int), default=0)
