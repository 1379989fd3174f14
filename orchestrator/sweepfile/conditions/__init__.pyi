from .condition import (
    Bound as Bound,
    bound as bound,
    evaluate as evaluate,
    gap as gap,
    names as names,
    shortfall as shortfall,
)
from .constraints import broken_by as broken_by
from .grammar import (
    WORDS as WORDS,
    Among as Among,
    Condition as Condition,
    ConditionError as ConditionError,
    parse as parse,
)
