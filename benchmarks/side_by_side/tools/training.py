"""One training of `sweeps/edc_weights.yaml` without a sweep: ``python training.py 60 0.1``."""

import sys
import tempfile
from pathlib import Path

import torch

from trainers.loading import load_trainer
from trainers.recording import RecordingRun

torch.set_num_threads(1)
trainer = load_trainer("edc")
values = {
    "preset": "small",
    "loss": "weighted_edc",
    "dropout": float(sys.argv[2]),
    "epochs": int(sys.argv[1]),
}
with tempfile.TemporaryDirectory() as folder:
    trainer.train(trainer.make_config(values), RecordingRun(Path(folder)))
