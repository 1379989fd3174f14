"""The trial as Syne Tune starts it."""

import argparse

import trial
from syne_tune import Reporter

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
report = Reporter()
for step, loss in trial.losses(parser.parse_known_args()[0].x):
    report(step=step, loss=loss)
