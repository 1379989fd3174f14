from . import script as script
from .script import report as report
