"""From a spec to the configs of its trials, in starting order."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.sweepfile.expand.build import Maker as Maker, pinned_by as pinned_by
    from orchestrator.sweepfile.expand.configs import (
        count_trials as count_trials,
        exclusion as exclusion,
        iter_configs as iter_configs,
        make_change as make_change,
        make_config as make_config,
        numbers_end as numbers_end,
        varied_of as varied_of,
    )
    from orchestrator.sweepfile.expand.names import safe as safe, without_seed as without_seed
    from orchestrator.sweepfile.expand.stages import at_first as at_first, for_stage as for_stage

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "build": ["Maker", "pinned_by"],
        "configs": [
            "count_trials",
            "exclusion",
            "iter_configs",
            "make_change",
            "make_config",
            "numbers_end",
            "varied_of",
        ],
        "names": ["safe", "without_seed"],
        "stages": ["at_first", "for_stage"],
    },
)
