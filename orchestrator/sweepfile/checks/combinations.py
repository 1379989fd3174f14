"""Which parts of a sweep file go together, and why the others do not.

The table of the docs says the same; a test tries each of its pairs.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.sweepfile.checks.context import Draft

_ONE_METRIC = "ranks by one metric, but there are two"


def _varies(draft: Draft) -> bool:
    return any(not declared.domain.is_constant for declared in draft.parameters.values())


def _has(key: str) -> Callable[[Draft], bool]:
    return lambda draft: draft.root.get(key) is not None


def _promotes(draft: Draft) -> bool:
    return any("promote" in entry for entry in draft.values.get("stages", {}).values())


def _ranks_in_promotion(draft: Draft) -> bool:
    entries = draft.values.get("stages", {}).values()
    return any({"top", "fraction"} & set(entry.get("promote", {})) for entry in entries)


PARTS: dict[str, Callable[[Draft], bool]] = {
    "ablate": _has("ablate"),
    "method random": lambda draft: draft.method == "random",
    "method bayes": lambda draft: draft.method == "bayes",
    "trials": _has("trials"),
    "parameters with several values": _varies,
    "zip": _has("zip"),
    "promote": _promotes,
    "promote by top or fraction": _ranks_in_promotion,
    "remedy": _has("remedy"),
    "seeds": _has("seeds"),
    "keep_improvements": lambda d: bool(d.values.get("ablate", {}).get("keep_improvements")),
    "pruner": lambda draft: draft.values.get("pruner", "none") != "none",
    "early_terminate": _has("early_terminate"),
    "two metrics": lambda d: (
        isinstance(d.values.get("metric"), list) and len(d.values["metric"]) > 1
    ),
}

APART: dict[tuple[str, str], str] = {
    ("ablate", "method random"): "names its configs itself, so there is nothing to draw",
    ("ablate", "method bayes"): "names its configs itself, so there is nothing to propose",
    ("ablate", "trials"): "has one baseline, and each trial would need its own",
    ("ablate", "parameters with several values"): (
        "has one baseline, and each value would need its own. Write the values as a change"
    ),
    ("ablate", "zip"): "changes one thing at a time",
    ("ablate", "promote"): "compares all its changes, and a promotion would drop some",
    ("ablate", "remedy"): "compares one change at a time, and a remedy would add another",
    ("seeds", "remedy"): "compare equal configs, and a remedy would change some of them",
    ("two metrics", "pruner"): f"leave nothing to judge by: a pruner {_ONE_METRIC}",
    ("two metrics", "early_terminate"): f"leave nothing to judge by: it {_ONE_METRIC}",
    ("two metrics", "promote by top or fraction"): f"leave no rank: it {_ONE_METRIC}. Use if",
    ("two metrics", "keep_improvements"): f"leave no gain to measure: it {_ONE_METRIC}",
}
"""Pairs of parts that exclude each other, with the reason as it follows the first one's name."""

_KEYS = {
    "method random": ("method",),
    "method bayes": ("method",),
    "parameters with several values": ("parameters",),
    "promote": ("stages",),
    "promote by top or fraction": ("stages",),
    "keep_improvements": ("ablate", "keep_improvements"),
    "two metrics": ("metric",),
}


def check_combinations(draft: Draft) -> None:
    """Check that the parts of a file go together."""
    there = {name for name, is_there in PARTS.items() if is_there(draft)}
    for (first, second), reason in APART.items():
        if first in there and second in there:
            path = _KEYS.get(second, (second,))
            message = f"must not stand beside {first}: {_called(first)} {reason}."
            draft.log.at(draft.key_node(*path), ".".join(path), message)


def _called(name: str) -> str:
    articles = {"ablate": "an ablation", "two metrics": "two metrics", "seeds": "seeds"}
    return articles.get(name, name)
