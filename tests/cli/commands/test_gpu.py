"""`sweep gpu` with the real pynvml against a scripted driver library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main
from orchestrator.cli.commands import gpu
from orchestrator.placement.leases.leases import Leases
from tests import fake_nvml
from tests.fake_nvml import Card, FakeNvml, Held, Instance, uuid_of

RTX = "NVIDIA GeForce RTX 3090"


@pytest.fixture
def nvml(tmp_path: Path) -> FakeNvml:
    return fake_nvml.build(tmp_path)


def call(nvml: FakeNvml, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    found = nvml.env(SWEEP_LEASES=str(nvml.folder / "leases"), COLUMNS="160", **env)
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", "gpu", *arguments],
        env=found,
        capture_output=True,
        text=True,
        check=False,
    )


def told(nvml: FakeNvml, *arguments: str, **env: str) -> tuple[int, dict[str, Any]]:
    done = call(nvml, *arguments, "--json", **env)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize(
    ("free_gib", "code", "words"),
    [
        (24, 0, "3 trials of 8.0 GiB each fit at once"),
        (20, 1, "Tight: room for 2 of 3 trials"),
        (16, 2, "one after another, or 2 at a time"),
        (8, 2, "Use sequential: room for 1 of 3 trials"),
        (7, 3, "No GPU holds one trial of 8.0 GiB: GPU 0 (NVIDIA GeForce RTX 3090) has 7.0 GiB"),
    ],
)
def test_the_verdict_is_the_exit_code(nvml: FakeNvml, free_gib: int, code: int, words: str) -> None:
    nvml.write([Card(24576, free_gib * 1024, RTX)])
    done = call(nvml, "--need", "8GB", "--trials", "3")
    assert (done.returncode, done.stderr) == (code, "")
    assert words in done.stdout
    assert told(nvml, "--need", "8GB", "--trials", "3")[1]["verdict"]["code"] == code


def test_several_cards_count_together(nvml: FakeNvml) -> None:
    nvml.write([Card(24576, 17000), Card(10240, 9000)])
    code, found = told(nvml, "--need", "8GB", "--trials", "3")
    assert (code, found["verdict"]["room"]) == (0, 3)
    # What is left over on two cards makes no room together.
    nvml.write([Card(24576, 12000), Card(24576, 12000)])
    code, found = told(nvml, "--need", "8GB", "--trials", "3")
    assert (code, found["verdict"]["room"]) == (2, 2)
    assert told(nvml, "--need", "8GB", "--trials", "3", CUDA_VISIBLE_DEVICES="1")[0] == 2
    assert told(nvml, "--need", "8GB")[0] == 0  # one trial


def test_the_table_shows_every_gpu(nvml: FakeNvml) -> None:
    held = [Held(41, 900), Held(42, 3000), Held(43, 1, "Graphics"), Held(44, 2)]
    nvml.write(
        [
            Card(24576, 20480, RTX, processes=held, utilisation=37),
            Card(8192, name="\x1b[31mA2000", utilisation=None),
        ]
    )
    done = call(nvml)
    assert done.returncode == 0
    head, _, first, second = done.stdout.splitlines()
    assert head.split() == ["GPU", "name", "total", "used", "free", "busy", "processes", "UUID"]
    assert "24.0 GiB" in first
    assert "4.0 GiB" in first
    assert "37%" in first
    assert "42 (2.9 GiB), 41 (900 MiB), 44 (2 MiB) and 1 more" in first
    assert uuid_of(0) in first
    assert "\x1b" not in second
    assert "none" in second
    code, found = told(nvml)
    assert code == 0
    assert found["verdict"] is None
    assert found["devices"][0] == {
        "id": "0",
        "name": RTX,
        "uuid": uuid_of(0),
        "total_mib": 24576,
        "free_mib": 20480,
        "used_mib": 4096,
        "claimed_mib": 0,
        "utilisation": 37,
        "processes": [
            {"pid": 41, "memory_mib": 900, "computes": True},
            {"pid": 42, "memory_mib": 3000, "computes": True},
            {"pid": 43, "memory_mib": 1, "computes": False},
            {"pid": 44, "memory_mib": 2, "computes": True},
        ],
    }
    assert found["devices"][1]["utilisation"] is None


def test_mig_instances_are_devices(nvml: FakeNvml) -> None:
    parts = [Instance(f"MIG-{i}", 20000) for i in range(2)]
    nvml.write([Card(40960, 500, instances=parts)])
    code, found = told(nvml, "--need", "16GB", "--trials", "2")
    assert code == 0
    assert [device["id"] for device in found["devices"]] == ["0:0", "0:1"]


def test_memory_promised_by_a_running_sweep_is_not_free(nvml: FakeNvml) -> None:
    nvml.write([Card(24576)])
    assert told(nvml, "--need", "8GB", "--trials", "3")[0] == 0
    with Leases(nvml.folder / "leases").claim(uuid_of(0), 6 << 30) as lease:
        code, found = told(nvml, "--need", "8GB", "--trials", "3")
        assert (code, found["devices"][0]["claimed_mib"]) == (2, 6144)
        assert "promised" in call(nvml).stdout
        lease.used(6 << 30)
        assert told(nvml, "--need", "8GB", "--trials", "3")[0] == 0


@pytest.mark.parametrize("arguments", [(), ("--need", "8GB")])
def test_without_a_gpu_the_reason_is_shown(nvml: FakeNvml, arguments: tuple[str, ...]) -> None:
    nvml.write([Card(24576)], [("nvmlInit", None, fake_nvml.DRIVER_NOT_LOADED)])
    done = call(nvml, *arguments)
    assert done.returncode == 3
    assert (
        "No GPU to use on this machine (the NVIDIA driver says: Driver Not Loaded)" in done.stdout
    )
    assert done.stdout.count("No GPU") == 1
    nvml.write([Card(24576)])
    done = call(nvml, *arguments, CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 3
    assert "hides all GPUs" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--need", "8"), "expected a size with a unit, got '8'. Write '8GB' or '8MB'."),
        (("--need", "0GB"), "expected a size above 0"),
        (("--need",), "requires an argument"),
        (("--trials", "3"), "--trials needs --need SIZE"),
        (("--need", "8GB", "--trials", "0"), "not in the range"),
        (("--need", "8GB", "--trials", "x"), "not a valid integer"),
        (("--ned", "8GB"), "Did you mean '--need'?"),
        (("8GB",), "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_no_verdict(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["gpu", *arguments])
    assert caught.value.code == 64
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert "Traceback" not in err


def test_a_fault_of_ours_is_no_verdict_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "survey", lambda: 1 / 0)
    with pytest.raises(SystemExit) as caught:
        main(["gpu"])
    assert caught.value.code == 64
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_help_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["gpu", "--help"])
    assert caught.value.code == 0
    assert "five sixths" in capsys.readouterr().out


def test_who_reads_no_further_still_gets_the_verdict(nvml: FakeNvml) -> None:
    nvml.write([Card(24576)])
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "gpu", "--need", "16GB", "--trials", "2"],
        env=nvml.env(SWEEP_LEASES=str(nvml.folder / "leases")),
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (2, "")
