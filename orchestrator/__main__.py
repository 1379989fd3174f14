"""`python -m orchestrator` is `sweep`."""

from orchestrator.cli import main

main()
