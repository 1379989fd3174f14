from . import control as control
from .control import start_detached as start_detached
from .driver import run_sweep as run_sweep
from .opening import folder_for as folder_for
from .outcome import Outcome as Outcome
