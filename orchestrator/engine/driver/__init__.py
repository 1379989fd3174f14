"""Open a sweep folder, run its trials to the end, and close it."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.engine.driver.control import start_detached as start_detached
    from orchestrator.engine.driver.driver import run_sweep as run_sweep

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["control"],
    submod_attrs={
        "control": ["start_detached"],
        "driver": ["run_sweep"],
    },
)
