"""Sentences from an ``.npz`` archive in two layouts.

Sentences (written by `trainers.speech.convert`)
    ``features`` [ΣT, C], ``lengths`` [N], ``phonemes`` [ΣL] with ids from 1, ``phoneme_lengths``
    [N]; if known, ``days`` [N], ``splits`` [N] (0 training, 1 validation, 2 test, -1 undecided)
    and ``n_phonemes``.

Spoken digits
    single clips, see `trainers.speech.digits`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainers.speech import digits
from trainers.speech.corpus import TEST, UNDECIDED, Corpus

_NEEDED: Final = ("features", "lengths", "phonemes", "phoneme_lengths")
Arrays = dict[str, NDArray[Any]]


def read_sentences(path: Path, *, sentences: int, seed: int, new_speakers: bool = False) -> Corpus:
    """Return the sentences in the archive `path`.

    Args:
        path: an ``.npz`` file; nothing is unpickled.
        sentences: number of sentences to compose, if the archive contains single digits.
        seed: seed of the composition.
        new_speakers: for single digits, whether validation and test have their own speakers.

    Raises:
        ValueError: it is missing, unreadable, or has neither layout.
    """
    if not path.is_file():
        raise ValueError(f"data_path: {path} is not a file. Name an .npz file.")
    if path.suffix.lower() in (".pkl", ".pickle", ".p"):
        raise ValueError(
            f"data_path: {path} is a pickle. Convert it once: python -m "
            f"trainers.speech.convert {path} {path.with_suffix('.npz')}"
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # a damaged archive can raise almost anything
        reason = (
            "is none, or holds objects that would have to be unpickled"
            if "pickle" in str(error)
            else error
        )
        raise ValueError(f"{path}: not an .npz of arrays ({reason}).") from None
    if "audio" in arrays:
        return digits.read_digits(
            arrays, str(path), sentences=sentences, seed=seed, new_speakers=new_speakers
        )
    if new_speakers:
        raise ValueError(
            f"new_speakers: must be false for {path}, which contains no spoken digits."
        )
    missing = [name for name in _NEEDED if name not in arrays]
    if missing:
        raise ValueError(
            f"{path}: expected sentences ({', '.join(_NEEDED)}) or spoken digits ("
            f"{', '.join(digits.KEYS)}), found {', '.join(arrays) or 'nothing'}."
        )
    return _sentences(arrays, str(path))


def _sentences(arrays: Arrays, source: str) -> Corpus:
    for name in _NEEDED[1:]:
        if arrays[name].ndim != 1 or arrays[name].dtype.kind not in "iu":
            raise ValueError(f"{source}: {name} must be whole numbers in a flat array.")
    if arrays["features"].dtype.kind != "f":
        raise ValueError(f"{source}: features must be floats (found {arrays['features'].dtype}).")
    n = len(arrays["lengths"])
    days = arrays.get("days", np.zeros(n, np.int64)).astype(np.int64)
    splits = arrays.get("splits", np.full(n, UNDECIDED)).astype(np.int64)
    if splits.size and not UNDECIDED <= splits.min() <= splits.max() <= TEST:
        raise ValueError(f"{source}: splits must be from -1 to 2.")
    phonemes = arrays["phonemes"].astype(np.int64)
    greatest = int(phonemes.max()) if phonemes.size else 1
    return Corpus(
        features=arrays["features"].astype(np.float32, copy=False),
        lengths=arrays["lengths"].astype(np.int64),
        phonemes=phonemes,
        phoneme_lengths=arrays["phoneme_lengths"].astype(np.int64),
        days=days,
        splits=splits,
        n_phonemes=int(arrays["n_phonemes"].item()) if "n_phonemes" in arrays else greatest,
        n_days=int(days.max()) + 1 if days.size else 1,
    ).checked(source)
