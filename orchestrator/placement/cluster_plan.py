"""The plan of a sweep on several machines: one for each, and all of them as one. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.errors import PlacementError
from orchestrator.placement.model import Device, Host, Need, Plan, Policy
from orchestrator.placement.sweep_plan import decide, policy_of
from orchestrator.sweepfile.model import Spec


@dataclass(frozen=True)
class NodeView:
    """What trials may use of one machine of a cluster; devices and host carry its name."""

    name: str
    devices: tuple[Device, ...]
    host: Host


def views_of(devices: Sequence[Device], host: Host) -> list[NodeView]:
    """Return the machines that devices name, each with cores and RAM as `host` has them."""
    there: dict[str, list[Device]] = {}
    for device in devices:
        there.setdefault(device.node, []).append(device)
    return [NodeView(name, tuple(found), replace(host, node=name)) for name, found in there.items()]


def decide_nodes(
    spec: Spec,
    nodes: Sequence[NodeView],
    policy: Policy | None = None,
    *,
    known: Callable[[Sequence[Device]], Need] = lambda devices: Need(),
) -> dict[str, Plan]:
    """Decide for each machine where trials of `spec` run there, as `decide` does for one.

    Machines without a GPU are left out if others have one, and so are those on which no trial fits.

    Raises:
        PlacementError: no machine holds one trial.
    """
    policy = policy or policy_of(spec)
    on_gpus = policy.gpus_per_trial > 0 and any(node.devices for node in nodes)
    plans: dict[str, Plan] = {}
    refusals: list[PlacementError] = []
    for node in nodes:
        if on_gpus and not node.devices:
            continue
        try:
            plans[node.name] = decide(
                spec, policy, devices=node.devices, host=node.host, known=known, waits=True
            )
        except PlacementError as error:
            refusals.append(error)
    if not plans:
        raise (
            refusals[0]
            if refusals
            else PlacementError("placement: no node of the cluster is ready for trials.")
        )
    return _as_parallel(plans, policy)


def _as_parallel(plans: dict[str, Plan], policy: Policy) -> dict[str, Plan]:
    """Let all machines start with all they hold, if together they hold all trials."""
    n_trials = next(iter(plans.values())).n_trials
    bounds = [bound for bound in (n_trials, policy.max_parallel) if bound is not None]
    room = sum(plan.max_parallel for plan in plans.values())
    is_known = all(plan.need.memory_bytes is not None or plan.on_cpu for plan in plans.values())
    if policy.placement != "auto" or not is_known or not bounds or room < min(bounds):
        return plans
    return {
        name: replace(
            plan,
            mode="parallel",
            start_parallel=plan.max_parallel,
            reason=re.sub(r", (starting with one|one after another)\b.*", "", plan.reason),
        )
        for name, plan in plans.items()
    }


def join_plans(plans: Mapping[str, Plan], policy: Policy) -> Plan:
    """Return the plans of several machines as one, for display and records."""
    first = next(iter(plans.values()))
    bounds = [bound for bound in (first.n_trials, policy.max_parallel) if bound is not None]
    bounds += [1] if policy.placement == "sequential" else []
    count = min(sum(plan.max_parallel for plan in plans.values()), *bounds, 1 << 30)
    # One on each device of each machine, then a second one on each, and so on.
    rounds = sorted(
        [
            (sum(other.device == slot.device for other in plan.slots[:place]), place, slot)
            for plan in plans.values()
            for place, slot in enumerate(plan.slots)
        ],
        key=lambda each: (*each[:2], each[2].node),
    )
    is_parallel = all(plan.mode == "parallel" for plan in plans.values())
    same: dict[str, list[str]] = {}
    heads: dict[str, None] = {}
    for name, plan in plans.items():
        head, _, reason = plan.reason.replace(f" of {name}", "").partition(": ")
        heads[head] = None
        same.setdefault(reason, []).append(name)
    reasons = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in same.items())
    nodes = f"{len(plans)} node{'' if len(plans) == 1 else 's'}"
    return replace(
        first,
        mode="parallel" if is_parallel else "sequential",
        start_parallel=min(count, sum(plan.start_parallel for plan in plans.values())),
        max_parallel=count,
        slots=tuple(
            replace(slot, index=index) for index, (_, _, slot) in enumerate(rounds[:count])
        ),
        reason=f"{', '.join(heads)}, on {nodes}: {reasons}",
    )
