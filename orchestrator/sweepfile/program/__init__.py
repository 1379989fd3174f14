"""A user's own program: where it is, its command and its arguments."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.sweepfile.program.argument_styles import (
        Argument as Argument,
        arguments as arguments,
        native as native,
        read_arguments as read_arguments,
        read_help as read_help,
    )
    from orchestrator.sweepfile.program.command import (
        RESUME as RESUME,
        Macros as Macros,
        command_line as command_line,
        for_shell as for_shell,
        is_ours as is_ours,
        names_in as names_in,
        needs_json_file as needs_json_file,
        parameter_file as parameter_file,
        parameters_in as parameters_in,
        passes_parameters as passes_parameters,
    )
    from orchestrator.sweepfile.program.interpreters import locate as locate
    from orchestrator.sweepfile.program.notebook import (
        SUFFIX as SUFFIX,
        parameters_text as parameters_text,
        takes_parameters as takes_parameters,
    )
    from orchestrator.sweepfile.program.params_file import params_text as params_text

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "argument_styles": ["Argument", "arguments", "native", "read_arguments", "read_help"],
        "command": [
            "Macros",
            "RESUME",
            "command_line",
            "for_shell",
            "is_ours",
            "names_in",
            "needs_json_file",
            "parameter_file",
            "parameters_in",
            "passes_parameters",
        ],
        "interpreters": ["locate"],
        "notebook": ["SUFFIX", "parameters_text", "takes_parameters"],
        "params_file": ["params_text"],
    },
)
