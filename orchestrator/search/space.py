"""Domains of a spec as Optuna distributions, and values there and back without loss.

Optuna compares the choices of a categorical with ``==``, which makes ``1``, ``1.0`` and ``True``
equal, and cannot store lists or mappings. Choices that it can store and distinguish are given to it
unchanged, so that its own tools show them; otherwise every choice is given as its JSON text. What
comes back is always the object of the domain.

Distributions that Optuna does not have (normal, beta, weighted choices, quantized logarithms) are
stored as the probability of a lower value, a float from 0 to 1 that is drawn uniformly; a sampler
learns which of these are good, as W&B's own does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from orchestrator.errors import UsageError, nearest
from orchestrator.sweepfile.model import Domain
from orchestrator.sweepfile.space import (
    DISTRIBUTIONS,
    limits,
    multiple,
    quantile,
    share_of,
    share_of_choice,
    whole_steps,
)

Held = bool | int | float | str | None
"""What Optuna can store as the value of a parameter."""


class NotInDomain(Exception):  # noqa: N818  (it is an answer, not a fault)
    """The domain does not contain a value."""


class _Choice:
    """One of the values in the file; one that is listed twice counts once."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        by_text = {text_of(value): value for value in values}
        self._values = tuple(by_text.values())
        self._index = {text: index for index, text in enumerate(by_text)}
        self._held: tuple[Held, ...] = (
            self._values if _can_be_held(self._values) else tuple(by_text)
        )
        self.distribution = CategoricalDistribution(self._held)

    def hold(self, value: Any) -> Held:
        index = self._index.get(text_of(value))
        if index is None:
            raise NotInDomain
        return self._held[index]

    def value(self, held: Any) -> Any:
        return self._values[self._held.index(held)]


class _Number:
    """A number from low to high, inclusive; a whole one if the distribution is of ints."""

    def __init__(self, distribution: IntDistribution | FloatDistribution) -> None:
        self.distribution = distribution
        self._type = int if isinstance(distribution, IntDistribution) else float

    def hold(self, value: Any) -> Held:
        number = _inside(_finite(value), self.distribution)
        if number != self._type(number):
            raise NotInDomain
        return self._type(number)

    def value(self, held: Any) -> int | float:
        return self._type(held)


class _Quantized:
    """A multiple of q, as `whole_steps` bounds it; values are computed in decimal."""

    def __init__(self, domain: Domain) -> None:
        self._q = 1.0 if domain.q is None else domain.q
        low, high = (multiple(int(count), self._q) for count in whole_steps(domain))
        self.distribution = FloatDistribution(float(low), float(high), step=float(self._q))

    def hold(self, value: Any) -> Held:
        """Return `value` as a float; it must be a multiple to one part in a million of q."""
        number = float(_finite(value))
        nearest_one = float(_inside(self.value(number), self.distribution))
        if abs(nearest_one - number) > 1e-6 * float(self._q):
            raise NotInDomain
        return nearest_one

    def value(self, held: Any) -> int | float:
        return multiple(round(held / self._q), self._q)


class _Share:
    """A number of any distribution with a density, stored as the probability of a lower one.

    A value comes back within rounding: the last digits of a float may differ, and more than those
    far out in the tails, where probabilities are too close to 0 or 1.
    """

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self.distribution = FloatDistribution(0.0, 1.0)
        quantile(domain, 0.5)

    def hold(self, value: Any) -> Held:
        number = float(_finite(value))
        share = share_of(self._domain, number)
        q = self._domain.q
        room = 1e-6 * (abs(number) if q is None else q)
        if q is not None and abs(round(number / q) * q - number) > room:
            raise NotInDomain
        if self._domain.low is not None:
            low, high = limits(self._domain)
            spare = room if q is None else q / 2 + room
            if not low - spare <= number <= high + spare:
                raise NotInDomain
        return share

    def value(self, held: Any) -> Any:
        return quantile(self._domain, float(held))


class _WeightedChoice(_Share):
    """One of several values with the probabilities in the file, stored as one of these."""

    def hold(self, value: Any) -> Held:
        """Return the middle of the range of `value`."""
        text = text_of(value)
        for index, choice in enumerate(self._domain.values):
            if text_of(choice) == text and self._domain.probabilities[index] > 0:
                return share_of_choice(self._domain, index)
        raise NotInDomain


# `hold` returns the form in which Optuna stores a value, or raises `NotInDomain`; `value` the
# domain's own object for that form.
_Parameter = _Choice | _Number | _Quantized | _Share


class Encoded(NamedTuple):
    """A config in two parts: parameter name to the form that Optuna stores, and the other values.

    The rest are fixed values, and values outside their domain.
    """

    held: dict[str, Held]
    rest: dict[str, Any]


class Space:
    """A search space for Optuna; `distributions` has the parameters that vary.

    Raises:
        UsageError: a distribution has no counterpart in Optuna, or a domain contains no value.
    """

    def __init__(self, domains: Mapping[str, Domain]) -> None:
        self._constants = {
            name: domain.values[0] if domain.values else domain.low
            for name, domain in domains.items()
            if domain.is_constant
        }
        self._parameters = {
            name: _parameter_of(name, domain)
            for name, domain in domains.items()
            if not domain.is_constant
        }
        self.distributions: dict[str, BaseDistribution] = {
            name: each.distribution for name, each in self._parameters.items()
        }

    def encode(self, config: Mapping[str, Any]) -> Encoded:
        """Split a config into what Optuna stores and the rest."""
        held: dict[str, Held] = {}
        rest: dict[str, Any] = {}
        for name, value in config.items():
            try:
                held[name] = self._parameters[name].hold(value)
            except (KeyError, NotInDomain):
                rest[name] = value
        return Encoded(held, rest)

    def decode(self, held: Mapping[str, Any]) -> dict[str, Any]:
        """Return the config of a proposal, constants included, in the order of the space."""
        values = {name: self._parameters[name].value(held[name]) for name in self._parameters}
        return {**values, **self._constants}


def _parameter_of(name: str, domain: Domain) -> _Parameter:
    """Return a domain as Optuna sees it, or raise `UsageError` (see `Space`)."""
    kind = DISTRIBUTIONS.get(domain.distribution)
    if kind is None or kind.held_as == "constant":
        raise UsageError(
            f"parameters.{name}.distribution: unknown distribution '{domain.distribution}'."
            f"{nearest(domain.distribution, DISTRIBUTIONS)} Choices: {', '.join(DISTRIBUTIONS)}."
        )
    try:
        if kind.held_as == "choice":
            return _Choice(domain.values)
        if kind.held_as == "weighed":
            return _WeightedChoice(domain)
        if not kind.needs:
            return _Share(domain)
        if domain.low is None or domain.high is None:
            raise ValueError("min and max are needed")
        if kind.held_as == "whole":
            return _Number(IntDistribution(math.ceil(domain.low), math.floor(domain.high)))
        if kind.held_as == "quantised":
            return _Quantized(replace(domain, q=1.0) if domain.q is None else domain)
        if kind.held_as == "share":
            return _Share(domain)
        is_log = kind.scale is not None and kind.scale.logarithmic
        return _Number(FloatDistribution(*limits(domain), log=is_log))
    except (ValueError, ArithmeticError) as error:
        bounds = f"min {domain.low}, max {domain.high}, {len(domain.values)} values"
        raise UsageError(
            f"parameters.{name}: contains no value (found {domain.distribution} with {bounds}). "
            f"{error}"
        ) from error


def text_of(value: Any) -> str:
    """Return a text that differs for different values: 1, 1.0, True and '1' have four."""
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, default=repr)
    except (TypeError, ValueError):
        return repr(value)


def _can_be_held(values: tuple[Any, ...]) -> bool:
    plain = all(
        value is None
        or isinstance(value, bool | int | str)
        or (isinstance(value, float) and math.isfinite(value))
        for value in values
    )
    return plain and len(set(values)) == len(values)


def _finite(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise NotInDomain
    return value


def _inside(number: float, distribution: IntDistribution | FloatDistribution) -> float:
    if not distribution.low <= number <= distribution.high:
        raise NotInDomain
    return number
