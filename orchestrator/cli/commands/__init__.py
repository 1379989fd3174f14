"""The subcommands of `sweep`, one module each."""
