"""Run attempts: below this process and an agent in Ray, or in the calling process.

Each runner has a function ``run_trials(conductor, tick, …)`` that runs what the conductor hands
out until nothing is left. It calls `tick` several times a second,
between two steps or messages.
"""
