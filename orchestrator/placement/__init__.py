"""Where trials run: devices and their free memory, the need of a trial, the plan, admission."""
