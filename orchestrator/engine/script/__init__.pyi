from .command_line import command as command
from .follow import run_script as run_script
