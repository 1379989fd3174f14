from . import cluster_plan as cluster_plan, fit as fit, model as model
from .model import (
    CPU as CPU,
    Device as Device,
    Host as Host,
    Need as Need,
    Plan as Plan,
    Policy as Policy,
    Slot as Slot,
)
from .sweep_plan import decide as decide, policy_of as policy_of
