"""Overrides its own globals by key=value, and logs into a text file alone."""

import sys
from ast import literal_eval

lr = 0.1
epochs = 2
log_file = "train.log"

for argument in sys.argv[1:]:
    key, _, value = argument.partition("=")
    assert key in globals(), f"unknown key {key}"
    try:
        globals()[key] = literal_eval(value)
    except (ValueError, SyntaxError):
        globals()[key] = value

with open(log_file, "a") as stream:
    for epoch in range(1, epochs + 1):
        stream.write(f"epoch {epoch}: val_mae {abs(lr - 0.01) / epoch}\n")
