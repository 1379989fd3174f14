from .build import (
    at_first as at_first,
    config_at as config_at,
    make_change as make_change,
    make_config as make_config,
    varied_of as varied_of,
)
from .configs import (
    count_trials as count_trials,
    drawn_key as drawn_key,
    exclusion as exclusion,
    iter_configs as iter_configs,
    numbers_end as numbers_end,
)
from .trial_names import safe as safe, without_seed as without_seed
