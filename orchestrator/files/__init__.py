"""Writing that survives crashes: atomic replace, append-only logs, locks; sizes and their units."""
