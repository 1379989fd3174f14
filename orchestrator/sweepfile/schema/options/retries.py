"""How often a trial runs again that failed for a reason that may pass."""

from orchestrator.sweepfile.schema.fields import Whole
from orchestrator.sweepfile.schema.options import Option

OPTION = Option(
    Whole(0),
    "how often a trial runs again after a lost worker, a kill from outside or a full disk",
    name="retries",
    may_change=True,
)
