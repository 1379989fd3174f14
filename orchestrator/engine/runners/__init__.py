"""Run attempts: as Ray Tune trials, or in the calling process.

Both `ray_runner` and `inline` have a function ``run_trials(conductor, tick, *, slots, on_start)``
that runs what the conductor hands out until nothing is left. It calls `tick` many times a second,
between two steps or messages, and `on_start` once: Ray replaces signal handlers when it starts.
"""
