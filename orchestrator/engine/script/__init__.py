"""A user's own script as a trial, run as it is.

In: the program of a sweep file and one config. The script is started with arguments, environment
and files made from the config; its output and log files are followed for metrics. Out: reports to
the trial's run, and the script's arrays, metadata and checkpoint in the run directory.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
