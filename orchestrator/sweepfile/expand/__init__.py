"""The configs of a sweep's trials.

A `Spec` goes in; configs come out lazily, in the order in which trials start (`iter_configs`), or
one by one for what a sampler chose (`make_config`). They can be counted without making them.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.sweepfile.expand.build import (
        at_first as at_first,
        config_at as config_at,
        make_change as make_change,
        make_config as make_config,
        varied_of as varied_of,
    )
    from orchestrator.sweepfile.expand.configs import (
        count_trials as count_trials,
        exclusion as exclusion,
        iter_configs as iter_configs,
        numbers_end as numbers_end,
    )
    from orchestrator.sweepfile.expand.trial_names import safe as safe, without_seed as without_seed

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "build": [
            "at_first",
            "config_at",
            "make_change",
            "make_config",
            "varied_of",
        ],
        "configs": ["count_trials", "exclusion", "iter_configs", "numbers_end"],
        "trial_names": ["safe", "without_seed"],
    },
)
