"""The grammar of conditions, and the rules on configs written in it."""
