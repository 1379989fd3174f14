"""The grammar of conditions, and the rules on configs written in it.

`parse` makes a small tree of a text and `evaluate` walks it; nothing of it is run as code.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.sweepfile.conditions.ast import (
        WORDS as WORDS,
        Among as Among,
        Between as Between,
        Both as Both,
        Compare as Compare,
        Name as Name,
        Not as Not,
        Ratio as Ratio,
        Word as Word,
    )
    from orchestrator.sweepfile.conditions.condition import (
        Condition as Condition,
        ConditionError as ConditionError,
        bound as bound,
        evaluate as evaluate,
        names as names,
        parse as parse,
    )
    from orchestrator.sweepfile.conditions.constraints import broken_by as broken_by

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["condition"],
    submod_attrs={
        "ast": ["Among", "Between", "Both", "Compare", "Name", "Not", "Ratio", "WORDS", "Word"],
        "condition": ["Condition", "ConditionError", "bound", "evaluate", "names", "parse"],
        "constraints": ["broken_by"],
    },
)
