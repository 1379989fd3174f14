"""A trial that only reports; each event is a line of the log that the benchmark reads."""

import json
import math
import os
import time


def note(event, x, **facts):
    """Append an event to the log, in one write."""
    line = {"event": event, "x": x, "time": time.time(), "pid": os.getpid(), **facts}
    with open(os.environ["SIDE_BY_SIDE_LOG"], "ab", buffering=0) as log:
        log.write(json.dumps(line).encode() + b"\n")


def losses(x):
    """Yield each step and its loss, as a training would take its time for it."""
    if os.environ.get("SIDE_BY_SIDE_TORCH", "1") == "1":
        import torch  # noqa: F401
    steps = int(os.environ.get("SIDE_BY_SIDE_STEPS", "10"))
    lost_at = int(os.environ.get("SIDE_BY_SIDE_NAN_AT", "0"))
    pause_s = float(os.environ.get("SIDE_BY_SIDE_PAUSE_S", "0"))
    noted_every = int(os.environ.get("SIDE_BY_SIDE_NOTED_EVERY", "1"))
    note("start", x)
    for step in range(1, steps + 1):
        if pause_s:  # sleeping for 0 s takes longer than a report
            time.sleep(pause_s)
        yield step, math.nan if 0 < lost_at <= step else x / step
        if step % noted_every == 0:
            note("report", x, step=step)
    note("end", x)
