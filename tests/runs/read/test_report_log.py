"""Reports in little memory are the reports that were put in."""

from __future__ import annotations

from hypothesis import given, strategies as st

from orchestrator.runs.read.report_log import ReportLog, reports_of

metrics = st.dictionaries(st.sampled_from("abc"), st.floats(allow_nan=False), max_size=3)
reports = st.lists(st.tuples(st.integers(0, 1 << 53), metrics), max_size=30)


@given(reports, st.slices(30))
def test_a_log_is_the_sequence_of_its_reports(
    kept: list[tuple[int, dict[str, float]]], part: slice
) -> None:
    log = ReportLog(kept)
    assert list(log) == kept
    assert log[part] == tuple(kept[part])
    assert [list(found) for _, found in log] == [list(found) for _, found in kept]
    assert not kept or log[-1] == kept[-1]
    assert reports_of(kept) == tuple(kept)


def test_many_reports_stay_packed() -> None:
    found = reports_of((step, {"loss": 1.0 / (step + 1)}) for step in range(20_001))
    assert isinstance(found, ReportLog)
    assert len(found) == 20_001
    assert found[-1] == (20_000, {"loss": 1.0 / 20_001})
