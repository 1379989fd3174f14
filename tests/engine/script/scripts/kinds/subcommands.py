"""Train or evaluate: sub-commands with arguments of their own, a positional one among them."""

import argparse

parser = argparse.ArgumentParser()
commands = parser.add_subparsers(dest="command", required=True)
fit = commands.add_parser("fit")
fit.add_argument("dataset")
fit.add_argument("--learning-rate", type=float, required=True)
fit.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True)
commands.add_parser("evaluate").add_argument("checkpoint")
args = parser.parse_args()
print(f"dataset={len(args.dataset)} lr={args.learning_rate} amp={int(args.amp)}")
