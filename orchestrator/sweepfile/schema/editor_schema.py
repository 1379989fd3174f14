"""The JSON Schema of the sweep file, for editors, made of the table that the checker reads by."""

from __future__ import annotations

from typing import Any

from orchestrator.sweepfile.schema.sweep import PROGRAM_KEYS, PROGRAMS, SPEC, VERSION, WANDB_KEYS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12).

    It describes the keys and what they take; that parameters are a trainer's own and that the
    keys go together is checked by `sweep check`.
    """
    body = SPEC.schema()
    properties = body["properties"]
    for name in SPEC.keys:
        # A key without a value changes nothing.
        described = dict(properties[name])
        help_text = described.pop("description")
        properties[name] = {"anyOf": [described, {"type": "null"}], "description": help_text}
    properties["version"] = {"enum": [VERSION, None], "description": SPEC.keys["version"].help}
    return {
        "$schema": DIALECT,
        "title": "sweep file",
        "description": "A set of training runs, for `sweep run`.",
        **body,
        "anyOf": [_has("trainer"), *_PROGRAM, _has("extends"), _WANDB],
        "not": {"allOf": [_has("trainer"), {"anyOf": _PROGRAM}]},
        "dependentSchemas": {key: {"anyOf": [*_PROGRAM, _has("extends")]} for key in PROGRAM_KEYS},
    }


def _has(key: str) -> dict[str, Any]:
    """Return the schema of files in which `key` is more than null."""
    return {"required": [key], "properties": {key: {"not": {"type": "null"}}}}


_PROGRAM = [_has(key) for key in PROGRAMS]
_WANDB = {"required": ["method", "parameters"], "propertyNames": {"enum": list(WANDB_KEYS)}}
