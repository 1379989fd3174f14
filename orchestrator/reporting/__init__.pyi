from . import plots as plots
from .content import Report as Report, ReportedRun as ReportedRun, collect as collect
from .figures import Drawing as Drawing, draw as draw
from .page import render as render
