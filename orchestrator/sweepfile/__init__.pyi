from .load import load_spec as load_spec
from .model.private import Private as Private
from .resume_diff import differences as differences, side_by_side as side_by_side
from .trainer_schemas import (
    PACKAGE as PACKAGE,
    TrainerParameter as TrainerParameter,
    TrainerSchema as TrainerSchema,
    is_own as is_own,
    resolve as resolve,
    trainer_names as trainer_names,
    trainer_schema as trainer_schema,
)
from .wandb_files import should_stop as should_stop
