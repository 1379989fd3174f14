"""Find by measurement how many trials at once get the most done."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.placement.concurrency.search_down import Pays as Pays, Thinning as Thinning
    from orchestrator.placement.concurrency.search_up import Event as Event, Growth as Growth
    from orchestrator.placement.concurrency.throughput import Window as Window

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "search_down": ["Pays", "Thinning"],
        "search_up": ["Event", "Growth"],
        "throughput": ["Window"],
    },
)
