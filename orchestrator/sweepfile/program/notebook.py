"""Notebooks as programs: what papermill is handed, and whether the notebook takes parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

SUFFIX = ".ipynb"
_TAG = "parameters"


def parameters_text(config: Mapping[str, Any]) -> str:
    """Return `config` as the YAML that papermill reads; small floats stay numbers there."""
    import yaml

    return str(yaml.safe_dump(dict(config), sort_keys=True, allow_unicode=True))


def takes_parameters(text: str) -> bool | None:
    """Tell whether a notebook has a cell with the tag ``parameters``; None where it is none.

    Args:
        text: the file's content.
    """
    try:
        cells = json.loads(text)["cells"]
        tags = [cell.get("metadata", {}).get("tags", []) for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return any(_TAG in each for each in tags)
