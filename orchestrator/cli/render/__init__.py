"""How the commands print: tables, plans, events, curves."""
