"""The Ray Tune trainable: it supervises the process of one trial and never trains itself."""

from __future__ import annotations

import json
from typing import Any

from ray import tune
from ray.tune import PlacementGroupFactory

from orchestrator.engine.child.process import Attempt, Message, TrialProcess, is_last

# Ray reacts to Ctrl+C, and cleans up, only between two steps.
STEP_S = 0.4

# Nothing that Ray counts limits how many attempts run at once.
CPU_SHARE = 0.01


class Supervisor(tune.Trainable):
    """Starts one attempt's process and passes its messages to the driver.

    It never fails itself: whatever goes wrong becomes a ``["failed", message]`` of the attempt, so
    that the actor can be reused and Ray never sees a training error. A result is
    ``{"messages": [...]}``; the result after the attempt's last message is done.
    """

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
        """Return a small share of a CPU: slots are counted by us, not by Ray."""
        return PlacementGroupFactory([{"CPU": CPU_SHARE}])

    def setup(self, config: dict[str, Any]) -> None:
        """Start the attempt in `config`."""
        self._process: TrialProcess | None = None
        self._pending: list[Message] = []
        self._over = False
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another attempt in this actor; never refuse."""
        self._close()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Return the messages since the last step, after at most `STEP_S` seconds."""
        if self._over:
            return {"messages": "[]", "done": True}
        messages = self._pending
        self._pending = []
        process = self._process
        if process is not None:
            try:
                if self._attempt.run_dir.stop_file.exists():
                    process.stop()
                messages += process.poll(STEP_S)
                self._over = not process.is_alive
            except Exception as error:  # of any kind: it must reach the driver as a message
                self._close()
                messages.append(["failed", f"{type(error).__name__}: {error}"])
        if is_last(messages):
            self._over = True
        return {"messages": json.dumps(messages), "done": False}

    def cleanup(self) -> None:
        """End the attempt's process, if it still lives."""
        self._close()

    def _begin(self, config: dict[str, Any]) -> None:
        self._pending, self._over = [], False
        try:
            self._attempt = Attempt.from_json(config["attempt"])
            if self._attempt.run_dir.stop_file.exists():
                self._pending.append(["failed", "ended before it started"])
            else:
                self._process = TrialProcess(self._attempt)
        except Exception as error:
            self._pending.append(["failed", f"{type(error).__name__}: {error}"])

    def _close(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None
