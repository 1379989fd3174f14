"""The search space: the values that a parameter may take, in a grid, at random or by a sampler.

In go the blocks of a sweep file; out come domains, their values by share of probability, and the
records of Optuna's samplers and pruners.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.sweepfile.space.distributions import (
        DISTRIBUTIONS as DISTRIBUTIONS,
        Range as Range,
        limits as limits,
        quantile as quantile,
        share_of as share_of,
        share_of_choice as share_of_choice,
    )
    from orchestrator.sweepfile.space.optuna_options import (
        PRUNERS as PRUNERS,
        SAMPLERS as SAMPLERS,
        PrunerRecord as PrunerRecord,
        SamplerRecord as SamplerRecord,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "distributions": [
            "DISTRIBUTIONS",
            "Range",
            "limits",
            "quantile",
            "share_of",
            "share_of_choice",
        ],
        "optuna_options": ["PRUNERS", "PrunerRecord", "SAMPLERS", "SamplerRecord"],
    },
)
