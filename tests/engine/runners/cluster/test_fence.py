"""The leases of both sides, with clocks that differ and messages that arrive late or never."""

from __future__ import annotations

from hypothesis import given, strategies as st

from orchestrator.engine.runners.cluster.fence import MARGIN_S, AgentLease, DriverLease

LEASE_S = 10.0

delays = st.one_of(st.floats(0.001, 1.0), st.floats(0.001, 200.0), st.none())


@given(
    gaps=st.lists(st.floats(0.0, 30.0), min_size=1, max_size=20),
    late=st.lists(delays, min_size=20, max_size=20),
    ahead=st.floats(-1e6, 1e6),
)
def test_the_driver_gives_up_trials_only_after_their_agent_has_killed_them(
    gaps: list[float], late: list[float | None], ahead: float
) -> None:
    driver, agent = DriverLease(LEASE_S, 0.0), AgentLease(LEASE_S)
    now, arrivals = 0.0, []
    agent.renew(0.0, 0.5 + ahead)  # the first answer came, and not late
    for gap, delay in zip(gaps, late, strict=False):
        now += gap
        sent_at = driver.sent(now)
        if delay is not None:
            arrivals.append((now + delay, sent_at))
    given_up_at = now + LEASE_S + MARGIN_S + 1e-6
    assert driver.is_over(given_up_at)
    assert not driver.is_over(given_up_at - 0.01)
    for arrived_at, sent_at in sorted(arrivals):
        agent.renew(sent_at, arrived_at + ahead)
    assert agent.is_over(given_up_at + ahead), "whatever arrives, and whenever"


def test_calls_renew_the_lease_of_an_agent_from_the_time_they_were_sent() -> None:
    agent = AgentLease(LEASE_S)
    assert not agent.is_over(1e9), "nothing runs before the first call"
    agent.renew(0.0, 100.0)
    agent.renew(5.0, 105.1)
    assert not agent.is_over(114.9)
    assert agent.is_over(115.1)
    agent.renew(6.0, 140.0)  # it was under way for 34 s
    assert agent.is_over(140.0)
    agent.renew(41.0, 141.0)
    assert not agent.is_over(142.0)
