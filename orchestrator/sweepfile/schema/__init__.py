"""The keys of a sweep file, one record each: type, help, and the field of `Spec` that it fills.

The checker reads files by them, and `json_schema` describes the same to editors.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.sweepfile.schema.editor_schema import json_schema as json_schema
    from orchestrator.sweepfile.schema.starter import (
        SCHEMA_FILE as SCHEMA_FILE,
        Probed as Probed,
        for_program as for_program,
        for_trainer as for_trainer,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "editor_schema": ["json_schema"],
        "starter": ["Probed", "SCHEMA_FILE", "for_program", "for_trainer"],
    },
)
