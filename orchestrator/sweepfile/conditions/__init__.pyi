from .ast import WORDS as WORDS, Among as Among, Condition as Condition
from .condition import (
    Bound as Bound,
    ConditionError as ConditionError,
    bound as bound,
    evaluate as evaluate,
    names as names,
    parse as parse,
)
from .constraints import broken_by as broken_by
from .missing import gap as gap, shortfall as shortfall
