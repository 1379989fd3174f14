"""What the machine has: GPUs, cores and RAM, as they are now, and who else uses them."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.placement.hardware.cpu_slots import (
        RAM_PER_TRIAL_BYTES as RAM_PER_TRIAL_BYTES,
    )
    from orchestrator.placement.hardware.gpu_options import (
        choose as choose,
        hypothetical as hypothetical,
    )
    from orchestrator.placement.hardware.gpus import Reader as Reader, survey as survey
    from orchestrator.placement.hardware.host import HostReader as HostReader
    from orchestrator.placement.hardware.neighbours import (
        Ours as Ours,
        family as family,
        pids_comparable as pids_comparable,
        who_computes as who_computes,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cpu_slots": ["RAM_PER_TRIAL_BYTES"],
        "gpu_options": ["choose", "hypothetical"],
        "gpus": ["Reader", "survey"],
        "host": ["HostReader"],
        "neighbours": ["Ours", "family", "pids_comparable", "who_computes"],
    },
)
