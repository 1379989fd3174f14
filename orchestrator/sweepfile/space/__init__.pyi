from .distributions import (
    DISTRIBUTIONS as DISTRIBUTIONS,
    limits as limits,
    multiple as multiple,
    quantile as quantile,
    share_of as share_of,
    share_of_choice as share_of_choice,
    whole_steps as whole_steps,
)
from .grid import all_shuffled as all_shuffled
from .optuna_options import (
    PRUNERS as PRUNERS,
    SAMPLERS as SAMPLERS,
    PrunerRecord as PrunerRecord,
    SamplerRecord as SamplerRecord,
)
