"""What a script finds in its environment: where to report, its config, and W&B kept to this trial.

A script that knows nothing of sweeps needs none of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.engine.script.command_line import JSON_FILE, YAML_FILE
from orchestrator.files import atomic
from orchestrator.sweepfile.program.command import parameter_file

REPORTED_FILE = "reported.jsonl"
"""In the run directory: what the script writes to ``$SWEEP_METRICS``, JSON lines."""

_WANDB_FLUSH = "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL"


def surroundings(config: Mapping[str, Any], directory: Path) -> dict[str, str]:
    """Return environment variables for one script, and write the files that they name.

    ``WANDB_MODE`` is offline unless the environment says otherwise already: trials of a sweep
    need no server, and none is asked for a login.

    Args:
        config: parameter name to value.
        directory: the run directory.
    """
    folder = directory.absolute()
    plain = atomic.plain(config)
    atomic.write_json(folder / JSON_FILE, plain)
    atomic.write_text(folder / YAML_FILE, parameter_file(plain))
    return {
        "SWEEP_METRICS": str(folder / REPORTED_FILE),
        "SWEEP_CONFIG": str(folder / JSON_FILE),
        "WANDB_SWEEP_PARAM_PATH": str(folder / YAML_FILE),
        "WANDB_DIR": str(folder),
        "WANDB_MODE": os.environ.get("WANDB_MODE", "offline"),
        # How often W&B writes its log to the disk, s; 15 are too few to stop what diverges.
        _WANDB_FLUSH: os.environ.get(_WANDB_FLUSH, "1"),
    }
