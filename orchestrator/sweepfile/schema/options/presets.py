"""What is expected with one value of the trainer's ``preset``; see `yaml.compose.for_preset`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.sweepfile.schema import course
from orchestrator.sweepfile.schema.containers import Key, MapOf, Record
from orchestrator.sweepfile.schema.options import Option

if TYPE_CHECKING:
    from orchestrator.sweepfile.checks.parsed_file import ParsedFile
    from orchestrator.sweepfile.model.spec import Spec

_TRIAL = Record({"expect": course.TRIAL_EXPECT}, "a mapping such as {expect: {mae: 0.1 to 0.2}}")
PRESET = Record(
    {
        "targets": Key(course.TARGETS, "metric to the bound that it should keep"),
        "expect": Key(course.EXPECT, "metric at a step to the bound that it should keep there"),
        "reference": Key(course.REFERENCE, "name to known metrics or a run folder"),
        "success": Key(course.SUCCESS, "conditions over all trials"),
        "resources": Key(course.RESOURCES, "what one trial takes"),
        "trials": Key(
            MapOf(_TRIAL, "a mapping from trial to {expect: {...}}"), "what trials should reach"
        ),
    },
    "a mapping such as {targets: {mae: '<= 0.02'}}",
)


def _check(file: ParsedFile, spec: Spec) -> None:
    known = file.schema.presets if file.schema is not None else {}
    for name in spec.options["presets"] if known else ():
        if name not in known:
            hint = file.log.hint(name, known) or f" Choices: {', '.join(known)}."
            file.error(f"{spec.trainer} has no such preset.{hint}", "presets", name)
    if spec.program is not None:
        file.warn("have no effect, since only a trainer has presets. Remove them.", "presets")
    elif "preset" in spec.parameters:
        message = "have no effect, since preset is a parameter that varies."
        file.warn(message, "presets")


OPTION = Option(
    MapOf(PRESET, "a mapping from preset to what is expected with it"),
    "preset of the trainer to the targets, expect, … that replace those of the file",
    convert=list,
    name="presets",
    may_change=True,
    joined=True,
    check=_check,
)
