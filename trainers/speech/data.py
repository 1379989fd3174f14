"""The sentences of one training: from a file, or simulated."""

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
    """Return the sentences that `config` names, in three splits.

    Args:
        config: where they are, or how many to simulate; ``data_seed`` is the same for all trials
            of a sweep, or they would be judged on different sentences.
        data_fraction: share of the training sentences to use, in (0, 1].
        progress: told what happens.
        should_stop: asked before each day that is simulated.

    Raises:
        ValueError: the file is missing or cannot be read, or a split would be empty.
        Interrupted: `should_stop` said so.
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
