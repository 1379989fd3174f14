"""A user's own program: its options, its arguments and the macros in its command.

Reading a sweep file gives a `Program`; for each trial, `Macros` and `arguments` turn it and a
config into the words that start it. Nothing here runs a program.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.sweepfile.program.argument_styles import arguments as arguments
    from orchestrator.sweepfile.program.interpreters import locate as locate
    from orchestrator.sweepfile.program.macros import (
        Macros as Macros,
        for_shell as for_shell,
        has_macros as has_macros,
        names_in as names_in,
        passes_parameters as passes_parameters,
    )
    from orchestrator.sweepfile.program.params_file import (
        parameters_yaml as parameters_yaml,
        params_text as params_text,
    )
    from orchestrator.sweepfile.program.script_options import (
        Argument as Argument,
        read_arguments as read_arguments,
        read_help as read_help,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "argument_styles": ["arguments"],
        "interpreters": ["locate"],
        "macros": [
            "Macros",
            "for_shell",
            "has_macros",
            "names_in",
            "passes_parameters",
        ],
        "params_file": ["parameters_yaml", "params_text"],
        "script_options": ["Argument", "read_arguments", "read_help"],
    },
)
