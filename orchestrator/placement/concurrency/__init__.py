"""Find by measurement how many trials at once get the most done.

In: the starts, reports and ends of trials. Out: how many may run at once on a device.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.placement.concurrency.search_down import (
        Pays as Pays,
        SearchDown as SearchDown,
    )
    from orchestrator.placement.concurrency.search_up import (
        Measurement as Measurement,
        SearchUp as SearchUp,
    )
    from orchestrator.placement.concurrency.throughput import Window as Window

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "search_down": ["Pays", "SearchDown"],
        "search_up": ["Measurement", "SearchUp"],
        "throughput": ["Window"],
    },
)
