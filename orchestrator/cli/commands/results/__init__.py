"""Commands that read results: each module is one command."""
