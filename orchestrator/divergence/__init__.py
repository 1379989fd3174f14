"""Reading learning curves: the rule that tells a lost run from one that recovers."""
