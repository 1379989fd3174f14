"""The metrics that a script prints or writes into files, joined into reports.

In: the script's output, and the log files that it or the sweep file names. Out: one report for
each step, to the trial's run.
"""
