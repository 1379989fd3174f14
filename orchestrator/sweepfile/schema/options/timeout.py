"""The longest time of one attempt at a trial, of trainers and programs alike."""

from orchestrator.sweepfile.schema.options import Option
from orchestrator.sweepfile.schema.text_kinds import DURATION

OPTION = Option(DURATION, "the trial fails if it takes longer", name="timeout", may_change=True)
