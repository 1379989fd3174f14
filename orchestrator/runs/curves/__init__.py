"""Learning curves from the logs of any tool, as reports that can be judged."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from orchestrator.runs.curves.cells import (
        EPOCHS as EPOCHS,
        STEPS as STEPS,
        flat as flat,
        transposed as transposed,
    )
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
    from orchestrator.runs.curves.tail import (
        GrowingCsv as GrowingCsv,
        GrowingFile as GrowingFile,
        GrowingJsonLines as GrowingJsonLines,
        Mark as Mark,
        MlflowRun as MlflowRun,
        RewrittenJson as RewrittenJson,
        file_version as file_version,
        mark as mark,
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["cells"],
    submod_attrs={
        "cells": ["EPOCHS", "STEPS", "flat", "transposed"],
        "curve": ["LogProblem", "LoggedRun", "number"],
        "reader": ["read_runs"],
        "tail": [
            "GrowingCsv",
            "GrowingFile",
            "GrowingJsonLines",
            "Mark",
            "MlflowRun",
            "RewrittenJson",
            "file_version",
            "mark",
        ],
        "formats.tensorboard": ["EventLog", "is_event_file"],
        "formats.wandb_log": ["WandbLog", "is_wandb_log"],
    },
)
