import sys
from pathlib import Path

import numpy as np
import pytest

from tests.shared_data import shared_data
from tests.trainers.eeg.samples import edf
from trainers.eeg.files import find_recordings, read_archive, read_edf_folder
from trainers.eeg.windows import electrode

GOOD = {
    "X": (np.arange(4 * 3 * 8).reshape(4, 3, 8) - 40).astype(np.int16),
    "label": np.array([0, 1, 0, 1]),
    "subject": np.array([7, 7, 3, 3]),
    "channels": np.array(["EEG Fp1", "A2-A1", "T7"]),
    "fs": np.array(64),
    "scale_uV": np.array(0.5),
}


def archive(path: Path, **changed: object) -> Path:
    kept = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    np.savez(path, **kept)
    return path


def test_an_archive_becomes_windows_in_microvolts(tmp_path: Path) -> None:
    found = read_archive(archive(tmp_path / "windows.npz"))
    assert found.channels == ("Fp1", "T3")
    np.testing.assert_allclose(found.signals, GOOD["X"][:, [0, 2]] * 0.5)
    assert found.subjects.tolist() == [1, 1, 0, 0]
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert found.rate_hz == 64.0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"label": None}, "label or labels or y"),
        ({"label": np.array([0, 1, 2, 1])}, "labels must be 0 and 1"),
        ({"label": np.array(["rest"] * 4)}, "must be numbers"),
        ({"subject": np.arange(3)}, "needs 4 subjects, one per window"),
        ({"X": np.full((4, 3, 8), np.nan)}, "4 of 4 windows"),
        ({"X": np.zeros((4, 2, 8))}, "3 channels"),
        ({"channels": np.array(["a", "b", "c"])}, "electrodes"),
        ({"subject": np.array([{}, 1, 2, 3], dtype=object)}, "unpickled"),
        ({"fs": np.array(0)}, "above 0 Hz"),
    ],
)
def test_an_archive_that_does_not_fit_is_refused(
    changed: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=words):
        read_archive(archive(tmp_path / "windows.npz", **changed))


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither an \.npz"):
        read_archive(tmp_path / "windows.npz")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("EEG FP1-REF", "Fp1"), ("fp1.", "Fp1"), ("T8", "T4"), ("EEG A2-A1", None), ("ECG ECG", None)],
)
def test_channel_names_of_several_worlds_mean_one_electrode(name: str, meant: str | None) -> None:
    assert electrode(name) == meant


def test_labels_and_subjects_come_from_a_table_folders_or_names(tmp_path: Path) -> None:
    for name in ("a_1.edf", "a_2.edf"):
        (tmp_path / name).touch()
    told = [(item.label, item.subject) for item in find_recordings(tmp_path)]
    assert told == [(0, "a"), (1, "a")]
    (tmp_path / "labels.csv").write_text("file,label,subject\na_2.edf,0,x\na_1.edf,1,y\n")
    told = [(item.label, item.subject) for item in find_recordings(tmp_path)]
    assert told == [(0, "x"), (1, "y")]
    (tmp_path / "labels.csv").write_text("file,label,subject\na_3.edf,0,x\n")
    with pytest.raises(ValueError, match="line 2"):
        find_recordings(tmp_path)
    corpus = tmp_path / "corpus"
    for name in ("abnormal/aaaa_s001_t000.edf", "normal/bbbb_s002_t001.edf"):
        (corpus / name).parent.mkdir(parents=True)
        (corpus / name).touch()
    told = [(item.label, item.subject) for item in find_recordings(corpus)]
    assert told == [(1, "aaaa"), (0, "bbbb")]
    (corpus / "unknown.edf").touch()
    with pytest.raises(ValueError, match=r"labels\.csv"):
        find_recordings(corpus)


def test_without_mne_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_1.edf").touch()
    monkeypatch.setitem(sys.modules, "mne", None)
    with pytest.raises(ValueError, match=r"pip install 'sweep-orchestrator\[eeg\]'"):
        read_edf_folder(tmp_path, rate_hz=64.0, window_s=1.0, stride_s=1.0)


def test_edf_recordings_become_windows(tmp_path: Path) -> None:
    pytest.importorskip("mne", reason="needs the extra eeg")
    time = np.arange(4 * 64) / 64
    wave = np.stack([50 * np.sin(2 * np.pi * 5 * time), np.full(256, 7.0), 20 * np.cos(time)])
    (tmp_path / "a_1.edf").write_bytes(edf(wave, ["EEG Fp1", "ECG ECG", "EEG Cz"], 64))
    (tmp_path / "a_2.edf").write_bytes(edf(2 * wave[::-1], ["Cz", "ECG", "Fp1"], 64))
    found = read_edf_folder(tmp_path, rate_hz=64.0, window_s=2.0, stride_s=1.0)
    assert found.channels == ("Fp1", "Cz")
    assert found.signals.shape == (6, 2, 128)
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(found.signals[1, 0], wave[0, 64:192], atol=0.06)
    np.testing.assert_allclose(found.signals[5, 1], 2 * wave[2, 128:], atol=0.06)
    slower = read_edf_folder(tmp_path, rate_hz=32.0, window_s=2.0, stride_s=2.0)
    assert slower.signals.shape == (4, 2, 64)
    (tmp_path / "b_1.edf").write_bytes(b"0       nothing")
    with pytest.raises(ValueError, match="cannot be read as EDF"):
        read_edf_folder(tmp_path, rate_hz=64.0, window_s=2.0, stride_s=1.0)


def test_a_real_archive_is_read() -> None:
    found = read_archive(shared_data("eeg", "eegmat_4s_128hz_int16.npz"))
    assert found.signals.shape == (1080, 19, 512)
    assert len(set(found.subjects.tolist())) == 36
    assert found.labels.mean() == 0.5
    assert 5 < found.signals.std() < 20
