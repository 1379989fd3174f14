"""How checkpoints are named: files by their endings, folders by a number."""

from __future__ import annotations

import re

FILE = re.compile(r"\.(ckpt|pt|pth|h5|hdf5|keras|safetensors)$", re.IGNORECASE)
FOLDER = re.compile(r"^(checkpoint|ckpt|epoch|step|iter|global_step)[-_=]?\d+", re.IGNORECASE)
"""Folders in a run that hold one of its checkpoints, with a copy of its log."""

RESUMED = ("*.ckpt", "*.pt", "*.pth", "checkpoint-*/")
"""Globs, below a run, of what a program continues from if its sweep file names nothing."""
