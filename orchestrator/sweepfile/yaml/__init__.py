"""YAML text and ``--set`` texts in; one tree out in which every key and value knows its line.

`read_yaml` reads the files of other tools, leniently and without lines.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.sweepfile.yaml.parse import (
        LenientError as LenientError,
        read_yaml as read_yaml,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "parse": ["LenientError", "read_yaml"],
    },
)
