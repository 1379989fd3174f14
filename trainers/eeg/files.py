"""EEG from files: an archive of windows, or a folder of EDF recordings.

An archive
    ``windows.npz`` with ``X`` (or ``signals``) [N, C, T], ``label``, ``subject``, ``channels`` and
    ``fs`` (or ``rate_hz``). Integers become microvolts by ``scale_uV``; without it values are µV.

A folder of EDF recordings, read by MNE-Python (``pip install sweep-orchestrator[eeg]``)
    Label and subject of a file come from ``labels.csv`` in the folder (columns ``file``,
    ``label``, ``subject``); else from folders ``normal`` and ``abnormal`` in its path, with the
    subject as the name up to the first ``_``, as in the TUH corpora; else from names that end in
    ``_1`` (rest, 0) or ``_2`` (task, 1) after the subject, as in PhysioNet's eegmat.

Nothing is unpickled.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainers.eeg.windows import Windows, electrode

_RESTING_OR_TASK: Final = re.compile(r"(?P<subject>.+)_(?P<number>[12])")
_NAMES: Final = {
    "signals": ("X", "signals"),
    "labels": ("label", "labels", "y"),
    "subjects": ("subject", "subjects"),
    "channels": ("channels",),
    "rate": ("fs", "rate_hz"),
}


@dataclass(frozen=True)
class Recording:
    """An EDF file with its label and subject.

    Attributes:
        path: the file.
        label: 0 or 1.
        subject: name of the subject.
    """

    path: Path
    label: int
    subject: str


def read_archive(path: Path) -> Windows:
    """Return the windows in the archive `path`; see the module docstring.

    Raises:
        ValueError: the file is missing, unreadable or incomplete.
    """
    where = f"data_path: {path}"
    if not path.is_file() or path.suffix.lower() != ".npz":
        raise ValueError(f"{where} is neither an .npz of windows nor a folder of EDF files.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except Exception as error:  # a damaged archive can raise almost anything
        raise ValueError(f"{where} cannot be read ({error}). Nothing is unpickled.") from None
    taken = {}
    for what, names in _NAMES.items():
        present = [name for name in names if name in found]
        if not present:
            raise ValueError(
                f"{where}: no {what}; expected {' or '.join(names)} (found "
                f"{', '.join(sorted(found)) or 'nothing'})."
            )
        taken[what] = found[present[0]]
    channels = [str(name) for name in np.ravel(taken["channels"])]
    known = [electrode(name) for name in channels]
    kept = [index for index, name in enumerate(known) if name is not None]
    signals = taken["signals"]
    if signals.ndim != 3 or signals.shape[1] != len(channels) or signals.dtype.kind not in "iuf":
        raise ValueError(
            f"{where}: X must be real numbers [windows, {len(channels)} channels, samples] "
            f"(found {signals.dtype} of shape {signals.shape})."
        )
    if not kept:
        raise ValueError(f"{where}: channels must be electrodes as Fp1 or Cz (found {channels}).")
    scale = np.float32(found.get("scale_uV", 1.0))
    try:
        labels = taken["labels"].astype(np.int64)
        _, subjects = np.unique(taken["subjects"], return_inverse=True)
        rate_hz = float(taken["rate"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: label and fs must be numbers ({error}).") from None
    return Windows(
        signals=signals[:, kept].astype(np.float32) * scale,
        labels=labels,
        subjects=subjects.astype(np.int64),
        channels=tuple(str(known[index]) for index in kept),
        rate_hz=rate_hz,
    ).checked(where)


def read_edf_folder(
    folder: Path,
    *,
    rate_hz: float,
    window_s: float,
    stride_s: float,
    progress: Callable[[str], None] = lambda text: None,
) -> Windows:
    """Return windows of all EDF recordings in `folder`, resampled to `rate_hz`.

    Channels are the electrodes that all recordings have in common. A recording shorter than a
    window gives none. See the module docstring.

    Raises:
        ValueError: MNE is not installed, or recordings are missing, unreadable, without a common
            electrode, or without labels.
    """
    recordings = find_recordings(folder)
    progress(f"reading {len(recordings)} EDF recordings")
    read = [_read_edf(item.path, rate_hz) for item in recordings]
    common = [name for name in read[0][1] if all(name in names for _, names in read)]
    if not common:
        raise ValueError(f"data_path: the recordings in {folder} have no electrode in common.")
    length, stride = round(window_s * rate_hz), max(1, round(stride_s * rate_hz))
    people = {name: number for number, name in enumerate(sorted({r.subject for r in recordings}))}
    signals, labels, subjects = [], [], []
    for item, (samples, names) in zip(recordings, read, strict=True):
        picked = samples[[names.index(name) for name in common]]
        for start in range(0, picked.shape[1] - length + 1, stride):
            signals.append(picked[:, start : start + length])
            labels.append(item.label)
            subjects.append(people[item.subject])
    if not signals:
        raise ValueError(
            f"data_path: no recording in {folder} is as long as window_s = {window_s:g} s."
        )
    return Windows(
        signals=np.stack(signals),
        labels=np.array(labels, dtype=np.int64),
        subjects=np.array(subjects, dtype=np.int64),
        channels=tuple(common),
        rate_hz=rate_hz,
    ).checked(f"data_path: {folder}")


def find_recordings(folder: Path) -> list[Recording]:
    """Return the EDF files below `folder` with label and subject, sorted by path.

    Raises:
        ValueError: there are none, or one has no label.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".edf")
    if not paths:
        raise ValueError(f"data_path: no .edf files in {folder}.")
    table = folder / "labels.csv"
    if table.is_file():
        return _from_table(table, paths)
    found = []
    for path in paths:
        above = {part.lower() for part in path.relative_to(folder).parts[:-1]}
        named = _RESTING_OR_TASK.fullmatch(path.stem)
        if above & {"normal", "abnormal"}:
            label = int("abnormal" in above)
            found.append(Recording(path, label, path.stem.partition("_")[0]))
        elif named is not None:
            found.append(Recording(path, int(named["number"]) - 1, named["subject"]))
        else:
            raise ValueError(
                f"data_path: nothing tells the label of {path}. Write {table} with the columns "
                "file, label (0 or 1) and subject."
            )
    return found


def _from_table(table: Path, paths: list[Path]) -> list[Recording]:
    with table.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    by_name = {str(path.relative_to(table.parent)): path for path in paths}
    found = []
    for line, row in enumerate(rows, start=2):
        name, label, subject = (row.get(key) or "" for key in ("file", "label", "subject"))
        if name not in by_name or label not in ("0", "1") or not subject:
            raise ValueError(
                f"{table}, line {line}: expected an EDF file of this folder, a label 0 or 1 "
                f"and a subject (found {name!r}, {label!r}, {subject!r})."
            )
        found.append(Recording(by_name[name], int(label), subject))
    if not found:
        raise ValueError(f"{table}: no line names a recording.")
    return found


def _read_edf(path: Path, rate_hz: float) -> tuple[NDArray[np.float32], list[str]]:
    """Return samples [C, T] in µV at `rate_hz`, and the electrodes."""
    try:
        import mne  # noqa: PLC0415  (an optional extra)
    except ModuleNotFoundError as error:
        raise ValueError(
            "data_path: EDF files need MNE-Python, which is not installed. "
            "Run: pip install 'sweep-orchestrator[eeg]'"
        ) from error
    try:
        raw: Any = mne.io.read_raw_edf(path, preload=True, verbose="error")
    except Exception as error:  # a damaged file can raise almost anything
        raise ValueError(f"data_path: {path} cannot be read as EDF ({error}).") from None
    places: dict[str, str] = {}
    for name in raw.ch_names:
        meant = electrode(name)
        if meant is not None and meant not in places:
            places[meant] = name
    if not places:
        raise ValueError(
            f"data_path: no channel of {path} is named as an electrode, such as Fp1 (found "
            f"{raw.ch_names})."
        )
    raw.pick(list(places.values()))
    if float(raw.info["sfreq"]) != rate_hz:
        raw.resample(rate_hz, verbose="error")
    samples = raw.get_data(picks=list(places.values()), verbose="error") * 1e6
    return samples.astype(np.float32), list(places)
