from .command_line import command as command
from .follow import run_script as run_script
from .output_text import Lines as Lines, Tail as Tail
