from . import control as control
from .control import start_detached as start_detached
from .driver import Outcome as Outcome, run_sweep as run_sweep
from .opening import folder_for as folder_for
