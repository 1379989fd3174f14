from .distributions import (
    DISTRIBUTIONS as DISTRIBUTIONS,
    limits as limits,
    quantile as quantile,
    share_of as share_of,
    share_of_choice as share_of_choice,
)
from .optuna_options import (
    PRUNERS as PRUNERS,
    SAMPLERS as SAMPLERS,
    PrunerRecord as PrunerRecord,
    SamplerRecord as SamplerRecord,
)
