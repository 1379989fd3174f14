"""Sentences from archives, pickles and spoken digits."""

from __future__ import annotations

import io
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.shared_data import shared_data
from tests.trainers.speech.made import corpus, tiny
from trainers.recording import RecordingRun
from trainers.speech import convert, digits
from trainers.speech.corpus import TEST, TRAIN, UNDECIDED, VAL, divide
from trainers.speech.data import load
from trainers.speech.files import read_sentences
from trainers.speech.train import train


def day(sentences: int, seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    lengths = random.integers(20, 30, size=sentences)
    phonemes = np.zeros((sentences, 10), np.int32)
    sizes = random.integers(2, 6, size=sentences)
    for row, size in zip(phonemes, sizes, strict=True):
        row[:size] = random.integers(1, 41, size=size)
    return {
        "sentenceDat": [random.normal(size=(length, 4)).astype(np.float32) for length in lengths],
        "phonemes": list(phonemes),
        "phoneLens": sizes,
        "timeSeriesLens": lengths,
        "transcriptions": ["a sentence"] * sentences,
    }


CONTENT = {"train": [day(6, 1), day(5, 2)], "test": [day(2, 3), day(3, 4)], "competition": []}


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_converted_pickle_is_read_with_its_days_and_its_test_sentences(
    protocol: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "data.pkl", tmp_path / "data.npz"
    source.write_bytes(pickle.dumps(CONTENT, protocol=protocol))
    assert convert.main([str(source), str(target)]) == 0
    assert "16 sentences (5 of them test) of 4 channels on 2 days" in capsys.readouterr().out
    found = read_sentences(target, sentences=0, seed=0)
    assert found.days.tolist() == [0] * 6 + [1] * 5 + [0] * 2 + [1] * 3
    assert found.splits.tolist() == [UNDECIDED] * 11 + [TEST] * 5
    assert found.n_phonemes == 40
    first = CONTENT["train"][0]
    assert np.array_equal(found.features[: len(first["sentenceDat"][0])], first["sentenceDat"][0])
    assert found.targets()[0].tolist() == first["phonemes"][0][: first["phoneLens"][0]].tolist()
    parts = divide(found, seed=0)
    assert (len(parts.test), len(parts.train) + len(parts.val)) == (5, 11)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.pop("test"), "must be a map with train and test"),
        (lambda data: data["train"][0].pop("phoneLens"), "train, day 0: must be a map with"),
        (lambda data: data["train"][1]["phonemes"].pop(), "phoneLens must be equally many"),
        (lambda data: data["test"][0].update(phoneLens=[99, 1]), "as phoneLens gives .99."),
        (lambda data: data["test"][0].update(sentenceDat=[np.ones(3)] * 2), "numbers .T, channels"),
        (
            lambda data: data["test"].append(day(1, 0) | {"sentenceDat": [np.ones((9, 3))]}),
            "equally",
        ),
        (lambda data: data["train"].append(Path("x")), "found pathlib"),
    ],
)
def test_a_pickle_of_another_layout_is_told(
    change: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = pickle.loads(pickle.dumps(CONTENT))
    change(content)
    (tmp_path / "data.pkl").write_bytes(pickle.dumps(content))
    assert convert.main([str(tmp_path / "data.pkl"), str(tmp_path / "data.npz")]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"Error: {tmp_path / 'data.pkl'}: ")
    assert re.search(words, err), err
    assert [path.name for path in tmp_path.iterdir()] == ["data.pkl"]


def test_the_converter_says_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert convert.main([]) == 2
    assert convert.main(["--help"]) == 0
    assert capsys.readouterr().err.count("usage: python -m trainers.speech.convert PICKLE NPZ") == 2
    assert convert.main(["missing.pkl", "out.npz"]) == 2


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def arrays_of(*texts: list[int]) -> dict[str, Any]:
    made = corpus(*texts)
    names = ("features", "lengths", "phonemes", "phoneme_lengths")
    return {name: getattr(made, name) for name in names}


def test_an_archive_may_leave_days_and_splits_out(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npz", **arrays_of([1, 2], [3], [2]))
    found = read_sentences(path, sentences=0, seed=0)
    assert (found.n_days, found.n_phonemes) == (1, 3)
    assert found.splits.tolist() == [UNDECIDED] * 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"phonemes": np.array([1.0, 2.0, 3.0, 2.0])}, "phonemes must be whole numbers"),
        ({"features": np.ones((20, 3), int)}, "features must be floats"),
        ({"splits": np.array([0, 1, 7])}, "splits must be from -1 to 2"),
        ({"lengths": np.array([1, 2, 3])}, "must add up to 20"),
        ({"phonemes": np.array([None] * 4, object)}, "would have to be unpickled"),
    ],
)
def test_an_archive_that_does_not_fit_is_told(
    change: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path = saved(tmp_path / "x.npz", **(arrays_of([1, 2], [3], [2]) | change))
    with pytest.raises(ValueError, match=words):
        read_sentences(path, sentences=0, seed=0)


def test_files_that_are_something_else_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is not a file\. Name an \.npz file"):
        read_sentences(tmp_path / "none.npz", sentences=0, seed=0)
    pickled = tmp_path / "data.pkl"
    pickled.write_bytes(pickle.dumps(CONTENT))
    with pytest.raises(ValueError, match=r"python -m trainers\.speech\.convert"):
        read_sentences(pickled, sentences=0, seed=0)
    text = tmp_path / "text.npz"
    text.write_text("hello")
    with pytest.raises(ValueError, match=r"not an \.npz of arrays"):
        read_sentences(text, sentences=0, seed=0)
    with pytest.raises(ValueError, match="found strange"):
        read_sentences(saved(tmp_path / "x.npz", strange=np.ones(2)), sentences=0, seed=0)


def clips(speakers: int = 2, recordings: int = 12) -> dict[str, Any]:
    """Return clips whose sound is a tone of the digit's pitch; each has a loudness of its own."""
    rate_hz, size = 8000, 1600
    audio, digit, speaker, index = [], [], [], []
    for one in range(speakers):
        for number in range(10):
            for recording in range(recordings):
                time = np.arange(size) / rate_hz
                loud = 1000 * (1 + recording)
                audio.append(loud * np.sin(2 * np.pi * (300 + 300 * number) * time))
                digit.append(number)
                speaker.append(one)
                index.append(recording)
    return {
        "audio": np.concatenate(audio).astype(np.int16),
        "offsets": size * np.arange(len(audio) + 1),
        "digit": np.array(digit, np.int8),
        "speaker": np.array(speaker, np.int8),
        "index": np.array(index, np.int8),
        "fs": np.array(rate_hz),
    }


def test_spoken_digits_become_sentences_of_one_speaker(tmp_path: Path) -> None:
    path = saved(tmp_path / "digits.npz", **clips())
    found = read_sentences(path, sentences=60, seed=0)
    assert len(found) == 60
    assert np.bincount(found.splits).tolist() == [42, 9, 9]
    assert set(found.days.tolist()) == {0, 1}
    assert (found.n_phonemes, found.channels) == (19, digits.BANDS)
    frames = 1 + (1600 - 200) // 80
    assert set((found.lengths // frames).tolist()) == {3, 4, 5, 6}
    assert (found.lengths % frames == 0).all()
    # What is heard is what is asked for: the band of a frame's greatest energy tells the digit.
    for row in range(5):
        start = int(found.starts[row])
        signal = found.features[start : start + int(found.lengths[row])]
        heard = signal[frames // 2 :: frames]
        names = {text: number for number, text in enumerate(map(tuple, pronounced()))}
        wanted = split_digits(found.targets()[row].tolist(), names)
        assert len(heard) == len(wanted)
        for left in range(len(wanted)):
            for right in range(left):
                same = int(heard[left].argmax()) == int(heard[right].argmax())
                assert same == (wanted[left] == wanted[right])


def pronounced() -> list[list[int]]:
    return [[digits.PHONEMES.index(p) + 1 for p in word] for word in digits.PRONUNCIATIONS]


def split_digits(text: list[int], names: dict[tuple[int, ...], int]) -> list[int]:
    found = []
    while text:
        size = next(n for n in range(1, 6) if tuple(text[:n]) in names)
        found.append(names[tuple(text[:size])])
        text = text[size:]
    return found


def test_no_clip_and_no_string_of_digits_is_in_two_splits() -> None:
    arrays = clips()
    reading = digits._Clips(arrays, "clips")
    random = np.random.default_rng(0)
    drawn = {split: reading.draw(random, split, 30, set()) for split in (TRAIN, VAL, TEST)}
    of = {split: set(np.concatenate(rows).tolist()) for split, rows in drawn.items()}
    assert not of[TRAIN] & of[VAL]
    assert not of[TRAIN] & of[TEST]
    assert not of[VAL] & of[TEST]
    assert {arrays["index"][clip] for clip in of[TEST]} <= set(range(5))
    found = digits.read_digits(arrays, "clips", sentences=200, seed=0)
    texts = {split: set(found.take(np.flatnonzero(found.splits == split)).texts) for split in of}
    assert not texts[TRAIN] & (texts[VAL] | texts[TEST])
    assert not texts[VAL] & texts[TEST]


def test_new_speakers_are_in_one_split_each_and_keep_the_layer_that_all_begin_as(
    tmp_path: Path,
) -> None:
    path = saved(tmp_path / "digits.npz", **clips(speakers=6, recordings=4))
    found = read_sentences(path, sentences=60, seed=0, new_speakers=True)
    of = [set(found.days[found.splits == split].tolist()) for split in (TRAIN, VAL, TEST)]
    assert [len(speakers) for speakers in of] == [4, 1, 1]
    assert len(set.union(*of)) == 6
    config = tiny(data_path=str(path), sentences=60, new_speakers=True, lr=0.1, batches=4)
    run = RecordingRun(tmp_path)
    train(config, run)
    model = torch.load(io.BytesIO(run.checkpoints[-1]), weights_only=True)["model"]
    moved = (model["day_layer.weight"] != torch.eye(digits.BANDS)).flatten(1).any(1)
    assert set(torch.nonzero(moved).flatten().tolist()) == of[0]
    with pytest.raises(ValueError, match="at least 3 speakers"):
        digits.read_digits(clips(), "clips", sentences=60, seed=0, new_speakers=True)
    with pytest.raises(ValueError, match="must be false without"):
        load(tiny(new_speakers=True), data_fraction=1.0)


def test_scales_know_nothing_of_validation_and_test() -> None:
    arrays = clips()
    loud = dict(arrays)
    held = np.repeat(arrays["index"] < 10, 1600)
    loud["audio"] = np.where(held, arrays["audio"] // 7, arrays["audio"]).astype(np.int16)
    first, second = (
        digits.read_digits(made, "clips", sentences=40, seed=0) for made in (arrays, loud)
    )
    rows = np.flatnonzero(first.splits == TRAIN)
    assert np.array_equal(first.take(rows).features, second.take(rows).features)
    rows = np.flatnonzero(first.splits == TEST)
    assert not np.array_equal(first.take(rows).features, second.take(rows).features)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"offsets": np.arange(3)}, "offsets must have one value more"),
        ({"digit": np.full(240, 11)}, "digits must be 0 to 9"),
        ({"index": np.full(240, 20)}, "every split needs clips"),
    ],
)
def test_clips_that_do_not_fit_are_told(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        digits.read_digits(clips() | change, "clips", sentences=30, seed=0)
    with pytest.raises(ValueError, match="missing"):
        digits.read_digits({"audio": np.ones(3)}, "clips", sentences=30, seed=0)


def test_the_real_digits_have_our_pronunciations_and_are_read() -> None:
    table = json.loads(shared_data("ctc_speech", "digit_arpabet.json").read_text())
    assert [tuple(table[str(number)]) for number in range(10)] == list(digits.PRONUNCIATIONS)
    found = read_sentences(shared_data("ctc_speech", "fsdd_8khz_int16.npz"), sentences=60, seed=0)
    assert (found.n_days, found.n_phonemes) == (6, 19)
    assert len(found) == 60
    train = found.take(np.flatnonzero(found.splits == TRAIN)).features
    assert abs(float(train.mean())) < 0.1
    assert float(train.std()) == pytest.approx(1.0, abs=0.1)
