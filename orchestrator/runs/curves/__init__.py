"""Learning curves from the logs of any tool, as reports that can be judged."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.runs.curves import cells as cells, tail as tail
    from orchestrator.runs.curves.curve import (
        LoggedRun as LoggedRun,
        LogProblem as LogProblem,
        number as number,
    )
    from orchestrator.runs.curves.formats.tensorboard import (
        EventLog as EventLog,
        is_event_file as is_event_file,
    )
    from orchestrator.runs.curves.formats.wandb_log import (
        WandbLog as WandbLog,
        is_wandb_log as is_wandb_log,
    )
    from orchestrator.runs.curves.reader import read_runs as read_runs

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["cells", "tail"],
    submod_attrs={
        "curve": ["LogProblem", "LoggedRun", "number"],
        "reader": ["read_runs"],
        "formats.tensorboard": ["EventLog", "is_event_file"],
        "formats.wandb_log": ["WandbLog", "is_wandb_log"],
    },
)
