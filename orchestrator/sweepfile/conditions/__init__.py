"""The grammar of conditions, and the rules on configs written in it.

`parse` makes a small tree of a text and `evaluate` walks it; nothing of it is run as code.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.sweepfile.conditions.ast import (
        WORDS as WORDS,
        Among as Among,
        Condition as Condition,
    )
    from orchestrator.sweepfile.conditions.condition import (
        Bound as Bound,
        ConditionError as ConditionError,
        bound as bound,
        evaluate as evaluate,
        names as names,
        parse as parse,
    )
    from orchestrator.sweepfile.conditions.constraints import broken_by as broken_by
    from orchestrator.sweepfile.conditions.missing import gap as gap, shortfall as shortfall

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "ast": ["Among", "Condition", "WORDS"],
        "condition": ["Bound", "ConditionError", "bound", "evaluate", "names", "parse"],
        "constraints": ["broken_by"],
        "missing": ["gap", "shortfall"],
    },
)
