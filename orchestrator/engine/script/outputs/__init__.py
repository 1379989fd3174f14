"""The files that a script leaves behind: finding them, deciding whose they are, keeping them.

In: where the script writes, and what the sweep file says about its outputs. Out: arrays and
metadata in the run directory, under the names that every run has.
"""
