"""Search space: domains, grids, quantiles and sampler options."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.sweepfile.space.domain import UNBOUNDED as UNBOUNDED
    from orchestrator.sweepfile.space.optuna_options import (
        PRUNERS as PRUNERS,
        SAMPLERS as SAMPLERS,
        PrunerRecord as PrunerRecord,
        SamplerRecord as SamplerRecord,
    )
    from orchestrator.sweepfile.space.quantiles import (
        limits as limits,
        quantile as quantile,
        share_of as share_of,
        share_of_choice as share_of_choice,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "domain": ["UNBOUNDED"],
        "optuna_options": ["PRUNERS", "PrunerRecord", "SAMPLERS", "SamplerRecord"],
        "quantiles": ["limits", "quantile", "share_of", "share_of_choice"],
    },
)
