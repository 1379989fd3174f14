"""The sentences of a training run, from a file or simulated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trainers.speech.config import Config
from trainers.speech.corpus import Splits, divide
from trainers.speech.files import read_sentences
from trainers.speech.simulate import simulate


def load(
    config: Config,
    *,
    data_fraction: float,
    progress: Callable[[str], None] = lambda text: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Splits:
    """Return the sentences that `config` specifies, in three splits.

    Args:
        config: path of the data, or number of sentences to simulate; ``data_seed`` is the same for
            all trials of a sweep, so that they are evaluated on the same sentences.
        data_fraction: share of the training sentences to use, in (0, 1].
        progress: receives status messages.
        should_stop: checked before each day is simulated.

    Raises:
        ValueError: the file is missing or unreadable, or a split would be empty.
        Interrupted: `should_stop` returned True.
    """
    if config.data_path is None:
        if config.new_speakers:
            raise ValueError("new_speakers: must be false without a data_path of spoken digits.")
        corpus = simulate(
            sentences=config.sentences,
            channels=config.channels,
            days=config.days,
            phonemes=config.phonemes,
            difficulty=config.difficulty,
            seed=config.data_seed,
            progress=progress,
            should_stop=should_stop,
        )
    else:
        progress(f"reading {config.data_path}")
        corpus = read_sentences(
            Path(config.data_path),
            sentences=config.sentences,
            seed=config.data_seed,
            new_speakers=config.new_speakers,
        )
    return divide(corpus, seed=config.data_seed, data_fraction=data_fraction)
