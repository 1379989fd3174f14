"""The real pynvml against a scripted driver library."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.placement.hardware.gpus import visible_devices
from orchestrator.placement.model import Device
from tests import fake_nvml
from tests.fake_nvml import Card, FakeNvml, uuid_of

READ = """
import dataclasses, json, sys
from orchestrator.placement.hardware.gpus import survey
devices, note = survey()
print(json.dumps([[dataclasses.asdict(d) for d in devices], note, "pynvml" in sys.modules]))
"""
TWO = [Card(24576, 20480, "NVIDIA GeForce RTX 3090"), Card(8192, 8000, "NVIDIA RTX A2000")]


@pytest.fixture
def nvml(tmp_path: Path) -> FakeNvml:
    return fake_nvml.build(tmp_path)


def survey_in_child(env: dict[str, str]) -> tuple[list[dict[str, Any]], str, bool]:
    done = subprocess.run(
        [sys.executable, "-c", READ], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    devices, note, imported = json.loads(done.stdout)
    return devices, note, imported


def ids(env: dict[str, str]) -> list[str]:
    return [device["id"] for device in survey_in_child(env)[0]]


def test_reads_memory_name_and_uuid(nvml: FakeNvml) -> None:
    nvml.write(TWO)
    devices, note, _ = survey_in_child(nvml.env())
    assert devices == [
        {
            "id": str(index),
            "name": card.name,
            "total_bytes": card.total_mib << 20,
            "free_bytes": (card.free_mib or 0) << 20,
            "node": "",
            "uuid": uuid_of(index),
            "processes": [],
            "utilisation": 0,
        }
        for index, card in enumerate(TWO)
    ]
    assert note == ""


def test_a_running_process_sees_memory_change(nvml: FakeNvml, tmp_path: Path) -> None:
    nvml.write([Card(24576, 20000)])
    code = (
        "import sys\n"
        "from orchestrator.placement.hardware.gpus import survey\n"
        "for line in sys.stdin:\n"
        "    print(survey()[0][0].free_bytes >> 20, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=nvml.env(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "20000\n"
        nvml.write([Card(24576, 3000)])
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "3000\n"
        child.stdin.close()


def test_no_library_costs_no_import(tmp_path: Path) -> None:
    # An empty file of that name hides any real library of the machine.
    (tmp_path / "libnvidia-ml.so.1").touch()
    devices, note, imported = survey_in_child(FakeNvml(tmp_path).env())
    assert (devices, note, imported) == ([], "", False)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (fake_nvml.DRIVER_NOT_LOADED, "Driver Not Loaded"),
        (fake_nvml.VERSION_MISMATCH, "mismatch"),
        (777, "scripted failure"),
    ],
)
def test_a_driver_that_does_not_start_means_no_gpu_and_a_reason(
    nvml: FakeNvml, code: int, words: str
) -> None:
    nvml.write(TWO, [("nvmlInit", None, code)])
    devices, note, _ = survey_in_child(nvml.env())
    assert devices == []
    assert words in note


def test_a_lost_gpu_is_left_out_and_the_others_keep_their_index(nvml: FakeNvml) -> None:
    nvml.write([Card(8192), Card(8192), Card(8192)])
    for function in ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetHandleByIndex"):
        nvml.write([Card(8192)] * 3, [(function, 1, fake_nvml.GPU_IS_LOST)])
        devices, note, _ = survey_in_child(nvml.env())
        assert [device["id"] for device in devices] == ["0", "2"]
        assert "GPU 1" in note
        assert "lost" in note


def test_name_and_uuid_may_be_unknown(nvml: FakeNvml) -> None:
    unsupported = fake_nvml.NOT_SUPPORTED
    nvml.write(
        TWO, [("nvmlDeviceGetName", 0, unsupported), ("nvmlDeviceGetUUID", None, unsupported)]
    )
    devices, _, _ = survey_in_child(nvml.env())
    assert [device["name"] for device in devices] == ["", "NVIDIA RTX A2000"]
    assert [device["uuid"] for device in devices] == ["", ""]
    assert devices[0]["free_bytes"] == 20480 << 20


@pytest.mark.parametrize(
    ("missing", "found"),
    [
        ("nvmlInitWithFlags", 0),
        ("nvmlDeviceGetCount_v2", 0),
        ("nvmlDeviceGetMemoryInfo", 0),
        ("nvmlDeviceGetUUID", 2),
        ("nvmlDeviceGetName", 2),
        ("nvmlErrorString", 2),
    ],
)
def test_functions_that_an_old_library_lacks(tmp_path: Path, missing: str, found: int) -> None:
    nvml = fake_nvml.build(tmp_path, missing=[missing])
    nvml.write(TWO)
    devices, note, _ = survey_in_child(nvml.env())
    assert len(devices) == found
    assert ("Function Not Found" in note) == (found == 0)


def test_cuda_visible_devices_is_respected(nvml: FakeNvml) -> None:
    nvml.write([Card(8192)] * 3)
    assert ids(nvml.env()) == ["0", "1", "2"]
    assert ids(nvml.env(CUDA_VISIBLE_DEVICES="2,0")) == ["2", "0"]
    assert ids(nvml.env(CUDA_VISIBLE_DEVICES=f"{uuid_of(1)}")) == ["1"]
    devices, note, imported = survey_in_child(nvml.env(CUDA_VISIBLE_DEVICES=""))
    assert (devices, imported) == ([], False)
    assert "CUDA_VISIBLE_DEVICES='' hides all GPUs" in note
    devices, note, _ = survey_in_child(nvml.env(CUDA_VISIBLE_DEVICES="7"))
    assert devices == []
    assert "CUDA_VISIBLE_DEVICES='7'" in note


PRESENT = [
    Device(str(index), "card", 1 << 33, 1 << 33, uuid=uuid)
    for index, uuid in enumerate(["GPU-aaaa-1", "GPU-aabb-2", "GPU-cccc-3"])
]


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ("0,1,2", "012"),
        ("2,0", "20"),
        (" 1 , 2 ", "12"),
        ("", ""),
        ("-1", ""),
        ("NoDevFiles", ""),
        ("0,-1,1", "0"),
        ("0,9,1", "0"),
        ("1,1", ""),
        ("GPU-cccc-3,GPU-aaaa-1", "20"),
        ("GPU-c", "2"),
        ("GPU-aa", ""),  # two begin so
        ("GPU-aab,GPU-zz,GPU-c", "1"),
        ("0,GPU-cccc-3", "0"),  # one list is of one kind
        ("GPU-cccc-3,0", "2"),
        ("GPU-c,GPU-cccc", ""),  # the same one twice
        ("MIG-1234", ""),
    ],
)
def test_the_list_is_read_as_cuda_reads_it(wanted: str, shown: str) -> None:
    assert "".join(device.id for device in visible_devices(PRESENT, wanted)) == shown


def test_a_machine_without_uuids_is_not_matched_by_one() -> None:
    nameless = [Device("0", "", 1, 1)]
    assert visible_devices(nameless, "GPU-1") == []
