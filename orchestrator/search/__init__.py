"""Optuna: the study, its samplers and its pruners."""
