from .argument_styles import arguments as arguments
from .macros import (
    Macros as Macros,
    for_shell as for_shell,
    has_macros as has_macros,
    names_in as names_in,
    parameters_yaml as parameters_yaml,
    params_text as params_text,
)
from .parsers.help_text import ask_help as ask_help
from .parsers.script_options import Argument as Argument
from .parsers.script_parser import ScriptParser as ScriptParser, read_parser as read_parser
from .paths import locate as locate
