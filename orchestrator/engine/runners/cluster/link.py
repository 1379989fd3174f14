"""The driver's connection to the agent of one node."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.engine.child.process import Attempt, Message
from orchestrator.engine.runners.cluster.agent import Agent, Snapshot, Start
from orchestrator.engine.runners.cluster.copying import Target, packed
from orchestrator.engine.runners.cluster.fence import DriverLease, clock
from orchestrator.engine.runners.cluster.fitting import environment, misfit

_LIFELINE_S = 2.0  # from the end of an agent's process to that of its trials

SILENT_S = 5.0
"""An agent that has not answered for so long gets no new trials."""


@dataclass(frozen=True)
class SweepNeeds:
    """What a sweep needs on a node.

    Attributes:
        trainer: what its trials run; None for a program.
        token: a file in its folder for results.
        paths: files and folders that its trials use.
    """

    trainer: str | None = None
    token: str = ""
    paths: list[str] = field(default_factory=list)


class Link:
    """Calls an agent, one exchange at a time, and keeps what it answered last.

    Attributes:
        node: name of the node.
        snapshot: what the agent read last; None before its first answer.
        attempts: what was sent there and has not ended, each with its folder if that is copied.
        is_dead: True once the agent has ended, with its node or alone.
        failure: why it has ended, as Ray reports it.
        description: what runs there (`Agent.describe`); empty before its first answer.
        unfit: why no trial can run there; "" if they can.
        is_draining: True once the node is about to leave the cluster.
    """

    def __init__(self, node: str, node_id: str, needs: SweepNeeds, lease_s: float) -> None:
        self.node = node
        self.node_id = node_id
        self.snapshot: Snapshot | None = None
        self.attempts: dict[str, Target | None] = {}
        self.is_dead = False
        self._ended_alone_at: float | None = None
        self.failure = ""
        self.description: dict[str, Any] = {}
        self.unfit = ""
        self.is_draining = False
        self._trains = needs.trainer is not None
        self._lease = DriverLease(lease_s, clock())
        self._answered_at = clock()
        self._epoch = 0
        self._heard = 0
        self._starts: dict[str, Start] = {}
        self._packing: dict[str, tuple[Attempt, Future[dict[str, list[Any]]]]] = {}
        self._sent: set[str] = set()
        strategy = NodeAffinitySchedulingStrategy(node_id, soft=False)
        self._agent: Any = (
            ray.remote(Agent)
            .options(num_cpus=0, max_concurrency=8, scheduling_strategy=strategy)
            .remote(node, needs.trainer, lease_s)
        )
        self._described = self._agent.describe.remote(needs.token, needs.paths)
        self._call: Any = None
        self._packer = ThreadPoolExecutor(1)

    @property
    def is_ready(self) -> bool:
        """Whether the agent answers, so that trials may start there."""
        is_here = self.snapshot is not None and not self.is_dead and not self._is_silent
        return is_here and not self.unfit

    @property
    def is_lost(self) -> bool:
        """Whether the agent has ended, or was silent for so long that its trials have."""
        return self.is_dead or (bool(self.description) and self._is_silent and self.is_over)

    @property
    def is_over(self) -> bool:
        """Whether its trials have ended for certain, if the agent is not heard any more."""
        if self._ended_alone_at is not None and clock() - self._ended_alone_at > _LIFELINE_S:
            return True
        return self._lease.is_over(clock())

    @property
    def _is_silent(self) -> bool:
        return clock() - self._answered_at > SILENT_S

    def start(self, attempt_id: str, attempt: Attempt) -> None:
        """Send an attempt to the node."""
        self.attempts[attempt_id] = None
        if self.description["shares"]:
            self._starts[attempt_id] = Start(attempt.to_json())
        else:
            folder = attempt.run_dir.path
            self.attempts[attempt_id] = Target(folder)
            self._packing[attempt_id] = (attempt, self._packer.submit(packed, folder, ray.put))
        self._agent.nudge.remote()

    def pending(self) -> Any:
        """Return what `receive` waits for; None for nothing."""
        return self._call if self.description else self._described

    def exchange(self, ending: Iterable[str]) -> None:
        """Ask for news, unless an earlier question is unanswered."""
        if self._call is not None or not self.description or self.is_dead:
            return
        for attempt_id, (attempt, files) in list(self._packing.items()):
            if files.done():
                self._starts[attempt_id] = Start(attempt.to_json(), files.result())
                del self._packing[attempt_id]
        # While the agent does not answer, its lease must come to its end.
        sent_at = self._lease.sent_at if self._is_silent else self._lease.sent(clock())
        self._sent = set(self._starts)
        self._call = self._agent.exchange.remote(
            sent_at, self._epoch, self._heard, list(ending), dict(self._starts)
        )

    def note_draining(self, is_draining: bool) -> None:
        """Note whether the node is about to leave the cluster."""
        self.is_draining = is_draining

    def ended_alone(self) -> None:
        """Note that the agent has ended and its node has not, so that its trials end at once."""
        self._ended_alone_at = self._ended_alone_at or clock()

    def receive(self, ready: set[Any], on_messages: Callable[[str, list[Message]], None]) -> None:
        """Take in an answer if it is among what is ready."""
        call = self.pending()
        if call is None or call not in ready:
            return
        try:
            answer = ray.get(call)
        except ActorUnavailableError:
            self._call = None  # for the moment; what was lost is asked for again
            return
        except RayError as error:
            self.is_dead, self.failure = True, str(error)
            return
        self._answered_at = clock()
        if call is self._described:
            self.description = answer
            self.unfit = misfit(answer, environment(), trains=self._trains)
            return
        self._call = None
        for attempt_id in self._sent:
            del self._starts[attempt_id]
        self._epoch, batches, snapshot = answer
        self.snapshot = snapshot or self.snapshot
        for batch in batches:
            # What was given up runs elsewhere, or has ended.
            if batch.number > self._heard and batch.attempt_id in self.attempts:
                target = self.attempts[batch.attempt_id]
                if target is not None:
                    target.apply(batch.pieces)
                if batch.messages:
                    on_messages(batch.attempt_id, batch.messages)
            self._heard = max(self._heard, batch.number)

    def close(self) -> None:
        """End the agent and with it its trials."""
        self._packer.shutdown(wait=False, cancel_futures=True)
        ray.kill(self._agent)
