"""Ray Tune's side of a sweep: its trainable and its searcher.

A trial of Tune is an agent, which runs one attempt after another, each in a process of its own: a
new actor for each attempt takes a second. Tune takes 60 to 150 ms for each result, so nothing that
attempts report passes through it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import PlacementGroupFactory
from ray.tune.execution import class_cache
from ray.tune.search import Searcher

from orchestrator.engine.child import shared_forkserver, supervisor

# Nothing that Ray counts limits how many attempts run at once.
CPU_SHARE = 0.01

# Agents have the driver's environment anyway; what Tune forwards, credentials of AWS among it,
# Ray would write into a log.
class_cache.ENV_VARS_TO_PROPAGATE.clear()

# While Tune waits here it does nothing else, as if it had nothing to do.
_CALM_S = 5.0
_BUSY_S = 0.02

# Agents that are lost are replaced only so often; the driver can do without.
_MOST_LOST = 20


class Agent(tune.Trainable):
    """Supervises the attempts that the driver sends it through a socket; never trains itself."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
        """Return a small share of a CPU: slots are counted by us, not by Ray."""
        return PlacementGroupFactory([{"CPU": CPU_SHARE}])

    def setup(self, config: dict[str, Any]) -> None:
        """Find the folder of the driver's socket and forkserver."""
        self._folder = Path(config["folder"])

    def step(self) -> dict[str, Any]:
        """Serve the driver until it needs no agent any more or is gone."""
        with shared_forkserver.using(self._folder):
            supervisor.serve(self._folder, f"agent-{self.trial_id}")
        return {"done": True}


class AgentSearcher(Searcher):
    """Suggests an agent while fewer are there than attempts run.

    Args:
        folder: of the driver's socket and forkserver.
        is_over: set once no agent is needed any more.
        running: returns how many attempts run.
    """

    def __init__(self, folder: Path, is_over: threading.Event, running: Callable[[], int]) -> None:
        super().__init__()
        self._folder = folder
        self._is_over = is_over
        self._running = running
        self._agents: set[str] = set()
        self._lost = 0

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles it to restore it later; nothing here is ever restored.
        return {}

    def suggest(self, trial_id: str) -> Any:
        """Return the config of an agent, None to wait, or FINISHED, which is final for Ray."""
        is_wanted = len(self._agents) < self._running()
        is_over = self._is_over.wait(_BUSY_S if is_wanted else _CALM_S)
        if is_over or self._lost >= _MOST_LOST:
            return Searcher.FINISHED
        if not is_wanted:
            return None
        self._agents.add(trial_id)
        return {"folder": str(self._folder)}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Note that an agent is gone."""
        self._agents.discard(trial_id)
        self._lost += 1

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the run directories and the study are the record, not Ray's pickles."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing, as `save`."""


def run(searcher: AgentSearcher, folder: Path) -> None:
    """Let Tune run agents until `searcher` is over."""
    tune.Tuner(
        Agent,
        tune_config=tune.TuneConfig(search_alg=searcher, num_samples=-1),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=str(folder),  # the run directories are the record, not this
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=0, checkpoint_at_end=False
            ),
        ),
    ).fit()
