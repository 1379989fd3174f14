"""Convert the pickle of a neural speech data set into an .npz for the trainer.

::

    python -m trainers.speech.convert ptDecoder_ctc.pkl sentences.npz

The pickle contains ``{"train": [day, …], "test": [day, …]}``; each day is a map with
``sentenceDat`` (arrays [T, channels]), ``phonemes`` (ids, zero-padded) and ``phoneLens``. It is
read without executing anything (`trainers.speech.pickles`). Days of both parts are matched by
position. Test sentences stay test sentences; validation is taken from training later, by text.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from trainers.speech.corpus import TEST, UNDECIDED
from trainers.speech.pickles import PickleError, load_arrays

Arrays = dict[str, NDArray[Any]]

PHONEMES = 40
"""39 phonemes and silence; the file may have fewer."""


def convert(source: Path, target: Path) -> Arrays:
    """Write the sentences of the pickle `source` to the archive `target`, and return them.

    Raises:
        ValueError: the pickle is damaged, rejected, or has another layout.
        OSError: a file cannot be read or written.
    """
    try:
        arrays = sentences_of(load_arrays(source))
    except PickleError as error:
        raise ValueError(f"{source}: {error}.") from None
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    temporary = target.with_name(f".{target.name}.part")
    try:
        with temporary.open("wb") as stream:
            np.savez(stream, **cast(Any, arrays))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return arrays


def sentences_of(content: Any) -> Arrays:
    """Return the arrays of `trainers.speech.files` for the content of a pickle.

    Raises:
        ValueError: it has another layout.
    """
    if not isinstance(content, dict) or not {"train", "test"} <= set(content):
        held = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"must be a map with train and test (found {held}).")
    features: list[NDArray[Any]] = []
    phonemes: list[NDArray[Any]] = []
    days: list[int] = []
    splits: list[int] = []
    for part, split in (("train", UNDECIDED), ("test", TEST)):
        for place, day in enumerate(_listed(content[part], part)):
            where = f"{part}, day {place}"
            found = _of_day(day, where)
            features += found[0]
            phonemes += found[1]
            days += [place] * len(found[0])
            splits += [split] * len(found[0])
    if not features:
        raise ValueError("no sentences.")
    widths = {one.shape[1] for one in features}
    if len(widths) > 1:
        raise ValueError(f"sentences must have equally many channels (found {sorted(widths)}).")
    flat = np.concatenate(phonemes)
    return {
        "features": np.concatenate(features).astype(np.float32),
        "lengths": np.array([len(one) for one in features]),
        "phonemes": flat,
        "phoneme_lengths": np.array([len(one) for one in phonemes]),
        "days": np.array(days),
        "splits": np.array(splits),
        "n_phonemes": np.array(max(PHONEMES, int(flat.max(initial=1)))),
    }


def _of_day(day: Any, where: str) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    names = ("sentenceDat", "phonemes", "phoneLens")
    if not isinstance(day, dict) or not set(names) <= set(day):
        raise ValueError(f"{where}: must be a map with {', '.join(names)}.")
    signals, texts, sizes = (_listed(day[name], f"{where}, {name}") for name in names)
    if not len(signals) == len(texts) == len(sizes):
        raise ValueError(
            f"{where}: sentenceDat, phonemes and phoneLens must be equally many (found "
            f"{len(signals)}, {len(texts)} and {len(sizes)})."
        )
    kept = []
    for place, (signal, text, size) in enumerate(zip(signals, texts, sizes, strict=True)):
        at = f"{where}, sentence {place}"
        features, ids = np.asarray(signal), np.asarray(text)
        if features.ndim != 2 or features.dtype.kind not in "iuf":
            raise ValueError(f"{at}: sentenceDat must be numbers [T, channels].")
        length = int(np.asarray(size).reshape(-1)[0])
        if ids.ndim != 1 or ids.dtype.kind not in "iu" or not 0 < length <= len(ids):
            raise ValueError(f"{at}: phonemes must be as many ids as phoneLens gives ({length}).")
        kept.append((features, ids[:length].astype(np.int64)))
    return [features for features, _ in kept], [ids for _, ids in kept]


def _listed(value: Any, where: str) -> Sequence[Any]:
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0):
        return list(value)
    raise ValueError(f"{where}: must be a list (found a {type(value).__name__}).")


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert the pickle that the command line names; return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if len(words) != 2 or words[0].startswith("-"):
        print("usage: python -m trainers.speech.convert PICKLE NPZ", file=sys.stderr)
        return 0 if words in (["-h"], ["--help"]) else 2
    source, target = map(Path, words)
    try:
        arrays = convert(source, target)
    except (ValueError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    test = int(np.count_nonzero(arrays["splits"] == TEST))
    print(
        f"{target}: {len(arrays['lengths']):,} sentences ({test:,} of them test) of "
        f"{arrays['features'].shape[1]} channels on {arrays['days'].max() + 1} days"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
