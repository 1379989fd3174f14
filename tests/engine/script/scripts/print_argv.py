"""Print the arguments and what a script can see of its surroundings, as JSON."""

import json
import os
import sys

facts = {
    "argv": sys.argv[1:],
    "cwd": os.getcwd(),
    "environment": dict(os.environ),
    "stdin": sys.stdin.read(),
    "executable": sys.executable,
}
with open(os.path.join(os.environ["SWEEP_RUN_DIR"], "seen.json"), "w") as stream:
    json.dump(facts, stream)
