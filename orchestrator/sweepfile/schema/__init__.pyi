from .starter import (
    SCHEMA_FILE as SCHEMA_FILE,
    Probed as Probed,
    for_program as for_program,
    for_trainer as for_trainer,
)
from .sweep import json_schema as json_schema
