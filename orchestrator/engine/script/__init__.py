"""A user's own script as a trial, run as it is.

In: the program of a sweep file and one config. The script is started with arguments, environment
and files made from the config; its output and log files are followed for metrics. Out: reports to
the trial's run, and the script's arrays, metadata and checkpoint in the run directory.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.engine.script.command_line import command as command
    from orchestrator.engine.script.follow import run_script as run_script

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "command_line": ["command"],
        "follow": ["run_script"],
    },
)
