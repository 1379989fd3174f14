"""The sweep file: read with line numbers, checked as a whole, expanded to configs.

A YAML file and ``--set`` texts go in; a `Spec` comes out, or all mistakes together. What trainers
declare is reached from here by their names.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.sweepfile.load import load_spec as load_spec
    from orchestrator.sweepfile.resume_diff import differences as differences
    from orchestrator.sweepfile.trainer_schemas import (
        PACKAGE as PACKAGE,
        TrainerParameter as TrainerParameter,
        TrainerSchema as TrainerSchema,
        is_own as is_own,
        resolve as resolve,
        trainer_names as trainer_names,
        trainer_schema as trainer_schema,
    )
    from orchestrator.sweepfile.wandb_files import should_stop as should_stop

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "load": ["load_spec"],
        "resume_diff": ["differences"],
        "trainer_schemas": [
            "PACKAGE",
            "TrainerParameter",
            "TrainerSchema",
            "is_own",
            "resolve",
            "trainer_names",
            "trainer_schema",
        ],
        "wandb_files": ["should_stop"],
    },
)
