"""A diagnosis as text for the terminal and as Markdown."""

from __future__ import annotations

import textwrap

from orchestrator.analysis import Examination, Examined, shown_series
from orchestrator.cli.render.curves import plot
from orchestrator.cli.render.text import Column, clean, draw, number, numbers, short_path
from orchestrator.divergence.diagnosis import Finding

_TOGETHER = "The runs together"
_AVOID = "do not"


def diagnosis_text(found: Examination, width: int) -> str:
    """Return the examination for a terminal of `width` characters."""
    blocks = [_table(found)] if len(found.runs) > 1 else []
    blocks += [
        _run_text(one, width) for one in found.runs if _symptoms(one) or len(found.runs) == 1
    ]
    if found.together:
        lines = [_wrapped(text, width, "  ") for text in found.together]
        blocks.append("\n".join([_TOGETHER, *lines]))
    return "\n\n".join(blocks)


def diagnosis_markdown(found: Examination) -> str:
    """Return the examination as Markdown, with all runs."""
    blocks = ["# Diagnosis"]
    for one in found.runs:
        blocks.append(f"## {_escape(_title(one))}: {_escape(_verdict(one))}")
        blocks.append("\n".join(f"- {_escape(fact)}" for fact in _facts(one)))
        for finding in one.diagnosis.findings:
            lines = [f"### {_heading(finding, one)}", ""]
            for label, text in _advice(finding):
                separator = " " if label == _AVOID else ": "
                lines.append(f"- {label}{separator}{_escape(text)}")
            blocks.append("\n".join(lines))
    if found.together:
        blocks.append(f"## {_TOGETHER}")
        blocks.append("\n".join(f"- {_escape(text)}" for text in found.together))
    return "\n\n".join(blocks)


def _title(one: Examined) -> str:
    name = clean(one.run.name)
    return name if one.run.number is None else f"trial {one.run.number} ({name})"


def _verdict(one: Examined) -> str:
    """Return the outcome of a run in a few words."""
    found = one.diagnosis
    if found.judged is None:
        return "not judged: the log has no training loss, metric or validation loss"
    if found.is_lost:
        first = found.findings[0]
        since = "" if first.since is None else f" since {one.run.unit} {first.since}"
        return f"diverged, {first.symptom}{since}"
    seen = [finding.symptom for finding in _symptoms(one)]
    if not seen:
        return found.outcome
    if found.outcome == "target reached":
        return f"target reached; also {', '.join(seen)}"
    return f"{found.outcome}: {', '.join(dict.fromkeys(seen))}"


def _symptoms(one: Examined) -> list[Finding]:
    """Return what is wrong with a run; reaching the target is not."""
    return [f for f in one.diagnosis.findings if f.symptom != "target reached"]


def _facts(one: Examined) -> list[str]:
    """Return the lines on a run that come before its findings."""
    run, found = one.run, one.diagnosis
    facts = [f"{short_path(run.path)} ({run.form}, {len(run.reports)} reports)"]
    facts += [f"note: {note}" for note in run.notes]
    if found.judged is not None:
        facts.append(
            f"{found.judged}: first {number(found.first)}, best {number(found.best)} "
            f"at {run.unit} {number(found.best_step)}, last {number(found.last)}"
        )
    if found.rates:
        rates = ", ".join(f"{name} {number(rate)}" for name, rate in found.rates.items())
        facts.append(f"lr: {rates}")
    if found.saved:
        facts.append(f"{found.saved} of {len(run.reports)} reports came after the run was lost")
    return [clean(fact) for fact in facts]


def _heading(finding: Finding, one: Examined) -> str:
    since = "" if finding.since is None else f", since {one.run.unit} {finding.since}"
    return f"{finding.symptom} ({finding.confidence}){since}"


def _advice(finding: Finding) -> list[tuple[str, str]]:
    """Return label and text of each line on a finding."""
    advice = finding.advice
    return [
        ("seen", finding.reason),
        ("cause", advice.cause),
        *(("change", text) for text in advice.change),
        *((_AVOID, text.removeprefix("do not ")) for text in advice.avoid),
    ]


def _table(found: Examination) -> str:
    runs = found.runs
    diagnoses = [one.diagnosis for one in runs]
    return draw(
        [
            Column("run", [clean(_title(one), 40) for one in runs]),
            numbers("reports", [str(len(one.run.reports)) for one in runs]),
            Column("judged", [clean(diagnosis.judged or "-", 24) for diagnosis in diagnoses]),
            numbers("first", [number(diagnosis.first) for diagnosis in diagnoses]),
            numbers("best", [number(diagnosis.best) for diagnosis in diagnoses]),
            numbers("last", [number(diagnosis.last) for diagnosis in diagnoses]),
            Column("diagnosis", [clean(_verdict(one), 60) for one in runs]),
        ]
    )


def _run_text(one: Examined, width: int) -> str:
    lines = [f"{_title(one)}: {_verdict(one)}", *(f"  {fact}" for fact in _facts(one))]
    seen = _symptoms(one)
    series = [(clean(name, 24), points) for name, points in shown_series(one)]
    drawn = plot(series, width=min(64, width - 20), onset=seen[0].since if seen else None)
    if drawn:
        lines += ["", textwrap.indent(drawn, "  ")]
    for finding in one.diagnosis.findings:
        lines += ["", f"  {_heading(finding, one)}"]
        previous = ""
        for label, text in _advice(finding):
            head = f"    {'' if label == previous else label:<8}"
            lines.append(_wrapped(clean(text), width, head))
            previous = label
    return "\n".join(lines)


def _wrapped(text: str, width: int, head: str) -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _escape(text: str) -> str:
    return clean(text).replace("|", "\\|").replace("_", "\\_").replace("*", "\\*")
