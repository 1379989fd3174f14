"""The trial as a plain script: ``python script.py --x 0.1``."""

import sys

import trial

for step, loss in trial.losses(float(sys.argv[-1].rpartition("=")[2])):
    print(f"step {step} train_loss {loss} val_loss {loss}", flush=True)
