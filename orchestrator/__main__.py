"""`python -m orchestrator` is `sweep`."""

import sys

# Python looks into the current folder first, where a ray.py would replace the package of that name.
if not sys.flags.safe_path:
    sys.path.append(sys.path.pop(0))

from orchestrator.cli import main

main()
