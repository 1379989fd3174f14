"""Globals that words such as lr=0.1 override, read as Python literals; as small trainers do it."""

import ast
import sys

learning_rate = 1.0
layers = [1]
name = "base"
for word in sys.argv[1:]:
    key, _, text = word.partition("=")
    if key not in globals():
        raise SystemExit(f"unknown key {key}")
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        value = text
    if type(value) is not type(globals()[key]):
        raise SystemExit(f"{key} must be of type {type(globals()[key]).__name__}")
    globals()[key] = value
print(f"lr={learning_rate} layers={len(layers)} name={len(name)}")
