"""Cores of trials, so that together they never use more than there are. Pure."""

from __future__ import annotations

from orchestrator.placement.model import Plan, Policy

TRIALS_PER_DEVICE = 4
"""Trials for which a card's cores are shared out where nobody knows how many it will run."""


def cores_each(cores: int, at_once: int) -> int:
    """Return the cores of each of `at_once` trials: together no more than there are."""
    return max(1, cores // max(1, at_once))


def share_of(cores: int, at_once: int, policy: Policy) -> int:
    """Return the cores of one trial, the workers of its loader counted in.

    Args:
        cores: that all trials together may use.
        at_once: how many run.
        policy: holds what one asks for; it gets no more than its share.
    """
    share = cores_each(cores, at_once)
    return min(share, policy.cpus_per_trial or share)


def at_once_on_gpus(plan: Plan, policy: Policy, devices: int) -> int:
    """Return for how many trials on GPUs the cores are shared out.

    Args:
        plan: what was decided.
        policy: what limits beside memory.
        devices: how many GPUs there are.
    """
    if plan.need.memory_bytes is not None:
        return plan.max_parallel
    return at_once_of_unknown_need(plan.n_trials, policy, devices)


def at_once_of_unknown_need(n_trials: int | None, policy: Policy, devices: int) -> int:
    """Return for how many trials cores are shared out while nobody knows how many will run.

    Trials that run cannot be told to leave cores to those that growth adds, so some are kept back
    from the start.
    """
    bounds = (policy.max_parallel or TRIALS_PER_DEVICE * devices, n_trials)
    return max(1, min(bound for bound in bounds if bound is not None))
