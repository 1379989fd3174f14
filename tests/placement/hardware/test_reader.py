"""A reader that goes on while devices change, get lost, and come back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.placement.hardware.gpus import RESTART_AFTER_S, visible_devices
from orchestrator.placement.model import Device
from tests import fake_nvml
from tests.fake_nvml import Card, Failure, FakeNvml, Held, Instance, uuid_of

LOST = fake_nvml.GPU_IS_LOST
CHILD = """
import dataclasses, json, sys
from orchestrator.placement.hardware import nvml
from orchestrator.placement.hardware.gpus import Reader
seconds, starts = 0.0, 0
class Counted(nvml.Nvml):
    def __init__(self):
        global starts
        starts += 1
        super().__init__()
import orchestrator.placement.hardware.gpus as gpus
gpus.Nvml = Counted
with Reader(clock=lambda: seconds) as reader:
    for line in sys.stdin:
        seconds += float(line)
        found = [dataclasses.asdict(device) for device in reader.read()]
        print(json.dumps([found, reader.note, starts]), flush=True)
"""


@dataclass
class Reading:
    devices: list[dict[str, Any]]
    note: str
    starts: int

    @property
    def ids(self) -> list[str]:
        return [device["id"] for device in self.devices]

    def free_mib(self) -> list[int]:
        return [device["free_bytes"] >> 20 for device in self.devices]


@dataclass
class Child:
    """A process with one reader, whose clock stands still but for what `read` adds."""

    process: subprocess.Popen[str]

    def read(self, later_s: float = 0) -> Reading:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{later_s}\n")
        self.process.stdin.flush()
        return Reading(*json.loads(self.process.stdout.readline()))


@pytest.fixture
def nvml(tmp_path: Path) -> FakeNvml:
    return fake_nvml.build(tmp_path)


class Starter:
    def __init__(self, nvml: FakeNvml) -> None:
        self.nvml = nvml
        self.started: list[subprocess.Popen[str]] = []

    def __call__(self, **env: str) -> Child:
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            env=self.nvml.env(**env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return Child(process)


@pytest.fixture
def start(nvml: FakeNvml) -> Iterator[Starter]:
    starter = Starter(nvml)
    yield starter
    for process in starter.started:
        process.kill()
        process.communicate()


def test_the_library_stays_started_and_memory_changes(nvml: FakeNvml, start: Starter) -> None:
    nvml.write([Card(8192, 8000, then=[(2, 500)])])
    child = start()
    assert [child.read().free_mib() for _ in range(4)] == [[8000], [8000], [500], [500]]
    nvml.write([Card(8192, 77)])
    last = child.read()
    assert (last.free_mib(), last.starts, last.note) == ([77], 1, "")


def test_processes_and_utilisation(nvml: FakeNvml, start: Starter) -> None:
    held = [
        Held(70, 300),
        Held(9, None),
        Held(8, 20, "Graphics"),
        Held(70, 300, "Graphics"),  # the driver lists it twice
        Held(9, 5, "MPSCompute"),
    ]
    nvml.write([Card(8192, processes=held, utilisation=88), Card(8192, utilisation=None)])
    first, second = start().read().devices
    assert first["utilisation"] == 88
    assert first["processes"] == [
        {"pid": 8, "memory_bytes": 20 << 20, "computes": False},
        {"pid": 9, "memory_bytes": 5 << 20, "computes": True},
        {"pid": 70, "memory_bytes": 300 << 20, "computes": True},
    ]
    assert (second["processes"], second["utilisation"]) == ([], None)


def test_a_process_that_plays_one_on_a_gpu(nvml: FakeNvml, start: Starter) -> None:
    nvml.write([Card(8192), Card(8192, 100)])
    child = start()
    holder = subprocess.Popen(["sleep", "60"])
    try:
        (nvml.uses / str(holder.pid)).write_text(f"{uuid_of(0)} 3000\n{uuid_of(1)} 500\n")
        found = child.read()
        assert found.free_mib() == [5192, 0]
        assert [process["pid"] for process in found.devices[0]["processes"]] == [holder.pid]
    finally:
        holder.kill()
        holder.wait()
    assert child.read().free_mib() == [8192, 100]


@pytest.mark.parametrize(
    ("missing", "processes"),
    [
        (["nvmlDeviceGetComputeRunningProcesses_v3"], [5, 6]),
        (
            ["nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"],
            None,
        ),
        (["nvmlDeviceGetGraphicsRunningProcesses_v3"], [5]),
        (["nvmlDeviceGetUtilizationRates"], [5, 6]),
        (["nvmlDeviceGetMigMode"], [5, 6]),
    ],
)
def test_an_old_library_lacks_functions(
    tmp_path: Path, missing: list[str], processes: list[int] | None
) -> None:
    nvml = fake_nvml.build(tmp_path, missing=missing)
    nvml.write([Card(8192, processes=[Held(5, 1), Held(6, 1, "Graphics")], utilisation=3)])
    starter = Starter(nvml)
    child = starter()
    for _ in range(2):  # what is absent is remembered
        found = child.read()
        (device,) = found.devices
        told = device["processes"]
        assert (told if told is None else [one["pid"] for one in told]) == processes
        assert device["utilisation"] == (None if "Utilization" in missing[0] else 3)
        assert found.note == ""
    starter.started[0].kill()
    starter.started[0].communicate()


def test_unsupported_functions_are_absent(nvml: FakeNvml, start: Starter) -> None:
    unsupported = [
        (f"nvmlDeviceGet{name}", None, fake_nvml.NOT_SUPPORTED)
        for name in ("ComputeRunningProcesses", "UtilizationRates", "MigMode")
    ]
    nvml.write([Card(8192, processes=[Held(5, 1)])], unsupported)
    (device,) = start().read().devices
    assert (device["processes"], device["utilisation"]) == (None, None)


def test_a_gpu_lost_midway_is_left_out_until_it_is_back(nvml: FakeNvml, start: Starter) -> None:
    nvml.write([Card(8192)] * 3)
    child = start()
    assert child.read().ids == ["0", "1", "2"]
    nvml.write([Card(8192)] * 3, [("nvmlDeviceGetMemoryInfo", 1, LOST)])
    found = child.read()
    assert (found.ids, found.starts) == (["0", "2"], 1)
    assert "GPU 1 is left out, its memory cannot be read: GPU is lost" in found.note
    # Starting the library anew takes long, so not at each reading.
    assert child.read(RESTART_AFTER_S - 1).starts == 1
    assert child.read(1).starts == 2
    assert child.read(1).starts == 2
    nvml.write([Card(8192)] * 3)
    found = child.read(RESTART_AFTER_S)
    assert (found.ids, found.note) == (["0", "1", "2"], "")
    starts = found.starts
    assert child.read(10 * RESTART_AFTER_S).starts == starts


def test_a_moment_of_failure_needs_no_new_start(nvml: FakeNvml, start: Starter) -> None:
    nvml.write([Card(8192)], [Failure("nvmlDeviceGetMemoryInfo", 0, LOST, first=1, last=1)])
    child = start()
    assert [child.read().ids for _ in range(3)] == [["0"], [], ["0"]]
    assert child.read(10 * RESTART_AFTER_S).starts == 1


def test_a_driver_that_goes_away_and_returns(nvml: FakeNvml, start: Starter) -> None:
    nvml.write([Card(8192)], [("nvmlInit", None, fake_nvml.VERSION_MISMATCH)])
    child = start()
    found = child.read()
    assert (found.ids, found.starts) == ([], 1)
    assert "the NVIDIA driver says: " in found.note
    nvml.write([Card(8192)])
    found = child.read(1)
    assert (found.ids, found.starts) == ([], 1)
    assert "the NVIDIA driver says: " in found.note
    assert child.read(RESTART_AFTER_S).ids == ["0"]


def test_a_lost_gpu_does_not_hide_those_after_it(nvml: FakeNvml, start: Starter) -> None:
    nvml.write([Card(8192)] * 3)
    by_index = start(CUDA_VISIBLE_DEVICES="1,2")
    by_uuid = start(CUDA_VISIBLE_DEVICES=f"{uuid_of(2)},{uuid_of(0)}")
    assert (by_index.read().ids, by_uuid.read().ids) == (["1", "2"], ["2", "0"])
    nvml.write(
        [Card(8192)] * 3,
        [("nvmlDeviceGetMemoryInfo", 1, LOST), ("nvmlDeviceGetHandleByIndex", 2, LOST)],
    )
    assert (by_index.read().ids, by_uuid.read().ids) == ([], ["0"])
    nvml.write([Card(8192)] * 3, [("nvmlDeviceGetMemoryInfo", 1, LOST)])
    assert (by_index.read().ids, by_uuid.read().ids) == (["2"], ["2", "0"])


PARTS = [Instance("MIG-aaaa", 9984, 9000), Instance("MIG-bbbb", 4864, processes=[Held(7, 64)])]


def test_mig_instances_are_devices_of_their_own(nvml: FakeNvml, start: Starter) -> None:
    nvml.write([Card(8192), Card(40960, 300, instances=PARTS), Card(40960, instances=[])])
    found = start().read()
    assert found.ids == ["0", "1:0", "1:1"]
    assert found.free_mib() == [8192, 9000, 4864]
    assert [device["uuid"] for device in found.devices[1:]] == ["MIG-aaaa", "MIG-bbbb"]
    assert found.devices[2]["processes"] == [{"pid": 7, "memory_bytes": 64 << 20, "computes": True}]
    assert found.devices[2]["utilisation"] is None
    assert found.note == "GPU 2 is left out, it is in MIG mode without an instance"


def test_visible_mig_instances(nvml: FakeNvml, start: Starter) -> None:
    nvml.write([Card(8192), Card(40960, instances=PARTS)])
    ids = {
        wanted: start(CUDA_VISIBLE_DEVICES=wanted).read().ids
        for wanted in ("MIG-bbbb,MIG-aaaa", "MIG-bb", "1", "1,0", uuid_of(0) + ",MIG-aaaa")
    }
    assert list(ids.values()) == [["1:1", "1:0"], ["1:1"], ["1:0"], ["1:0", "0"], ["0", "1:0"]]


def test_a_lost_instance_leaves_its_sibling_out_too(nvml: FakeNvml, start: Starter) -> None:
    # Instances share the hardware that was lost.
    nvml.write([Card(8192), Card(40960, instances=PARTS)])
    child = start(CUDA_VISIBLE_DEVICES="MIG-aaaa," + uuid_of(0))
    assert child.read().ids == ["1:0", "0"]
    nvml.write(
        [Card(8192), Card(40960, instances=PARTS)],
        [Failure("nvmlDeviceGetMemoryInfo", "MIG-bbbb", LOST)],
    )
    assert child.read().ids == ["0"]


@pytest.mark.parametrize("wanted", ["٣", "²", "0x1", "+1", "1.0", "MIG", "GPU"])
def test_what_is_no_entry_ends_the_list(wanted: str) -> None:
    present = [Device(str(index), "", 1, 1, uuid=f"GPU-{index}") for index in range(4)]
    assert visible_devices(present, wanted) == []
    assert [device.id for device in visible_devices(present, f"2,{wanted},1")] == ["2"]


def test_a_whole_uuid_that_begins_another() -> None:
    present = [Device("0", "", 1, 1, uuid="GPU-1"), Device("1", "", 1, 1, uuid="GPU-12")]
    assert [device.id for device in visible_devices(present, "GPU-1")] == ["0"]
