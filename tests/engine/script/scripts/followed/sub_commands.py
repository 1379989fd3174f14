"""Has sub-commands and a positional argument, and reports as any language can: JSON lines."""

import argparse
import json
import os

parser = argparse.ArgumentParser()
parser.add_argument("--quiet", action="store_true")
commands = parser.add_subparsers(required=True, dest="command")
train = commands.add_parser("train")
train.add_argument("data")
train.add_argument("--lr", type=float, required=True)
commands.add_parser("evaluate")
args = parser.parse_args()
assert (args.command, args.data, args.quiet) == ("train", "my data", True)

with open(os.environ["SWEEP_METRICS"], "a") as stream:
    for step in (1, 2):
        stream.write(json.dumps({"step": step, "val_mae": abs(args.lr - 0.01) / step}) + "\n")
        stream.flush()
