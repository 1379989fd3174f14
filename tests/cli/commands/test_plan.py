"""`sweep plan`, called as the console script calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main
from orchestrator.cli.render import plan_text
from orchestrator.files.atomic import plain
from orchestrator.placement.leases.leases import Leases
from orchestrator.runs.layout import SweepDir
from orchestrator.runs.records import TrialRecord, TrialState
from orchestrator.sweepfile.load import load_spec
from orchestrator.sweepfile.model.spec import Spec, TrialConfig
from tests import fake_nvml
from tests.analysis import made
from tests.fake_nvml import Card, uuid_of

NAMED = """\
version: 1
name: weights
description: Three weightings of the loss
trainer: edc
metric: {name: val_t20_mae, goal: minimize}
fixed: {epochs: 3}
trials:
  conservative: {set: {t20_weight: 2.5}, note: as before, risk: low}
  moderate: {set: {t20_weight: 3.0}, expect: {t20_mae: 0.020 to 0.025}}
  aggressive: {set: {t20_weight: 4.0}, risk: may diverge}
resources: {gpu_memory: 8GB}
"""
HUNDRED = ", ".join(f"{number / 10}" for number in range(1, 101))
GRID = f"""\
version: 1
name: large
trainer: edc
parameters:
  edt_weight: {{values: [{HUNDRED}]}}
  t20_weight: {{values: [{HUNDRED}]}}
  c50_weight: {{values: [{HUNDRED}]}}
"""
BAYES = """\
version: 1
name: search
trainer: edc
method: bayes
fixed: {batch_size: 8}
parameters:
  lr: {min: 1e-5, max: 1e-2, distribution: log_uniform_values}
  dropout: {values: [0.1, 0.3]}
"""

Sweep = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Sweep:
    """Write a sweep file and plan it on a machine whose GPUs, if any, are hidden."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def call(text: str, *arguments: str) -> tuple[int, str, str]:
        path = tmp_path / "sweep.yaml"
        path.write_text(text)
        with pytest.raises(SystemExit) as caught:
            main(["plan", str(path), *arguments])
        out, err = capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, out, err

    return call


def placed(sweep: Sweep, *arguments: str) -> dict[str, Any]:
    code, out, err = sweep(NAMED, "--json", *arguments)
    assert code == 0, err
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("size", "mode", "start", "most"),
    [("24GB", "parallel", 3, 3), ("16GB", "sequential", 1, 2), ("8GiB", "sequential", 1, 1)],
)
def test_json_for_a_card_that_is_not_here(
    sweep: Sweep, size: str, mode: str, start: int, most: int
) -> None:
    found = placed(sweep, "--gpu", size)
    assert (found["mode"], found["start_parallel"], found["max_parallel"]) == (mode, start, most)
    assert [(slot["device"], slot["memory_mib"]) for slot in found["slots"]] == [("0", 8192)] * most
    assert found["n_trials"] == 3
    assert found["need"] == {"memory_mib": 8192, "source": "declared"}
    assert found["reason"]


@pytest.mark.parametrize(
    ("cards", "best", "words"),
    [
        (("24GB",), 190.0, "3h 10m in the best case: 3 at once, no interference"),
        (("16GB:RTX 3090",), 380.0, "6h 20m in the best case: 2 at once"),
        (("16GB", "8GB"), 190.0, "3h 10m in the best case: 3 at once"),
        (("8GB",), 570.0, "9h 30m in total, one after another"),
    ],
)
def test_the_best_and_the_worst_case(
    sweep: Sweep, cards: tuple[str, ...], best: float, words: str
) -> None:
    chosen = [word for card in cards for word in ("--gpu", card)]
    found = placed(sweep, *chosen, "--trial-minutes", "190")
    assert found["duration"] == {
        "trial_minutes": 190.0,
        "source": "--trial-minutes",
        "best_minutes": best,
        "worst_minutes": 570.0,
    }
    _, out, _ = sweep(NAMED, *chosen, "--trial-minutes", "190")
    assert "duration   3h 10m a trial (--trial-minutes)\n" in out
    assert words in out
    assert "9h 30m in" in out


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "long"])
def test_a_senseless_duration_is_refused(sweep: Sweep, minutes: str) -> None:
    code, out, err = sweep(NAMED, "--gpu", "24GB", "--trial-minutes", minutes)
    assert (code, out) == (2, "")
    assert "--trial-minutes" in err


def ran(results: Path, number: int, seconds: object, **known: Any) -> None:
    run = SweepDir(results / "weights").run_dir(number, "t")
    record = TrialRecord(number, "t", {}, TrialState.COMPLETE, attempt=1, slot={"device": "0"})
    for key, value in known.items():
        setattr(record, key, value)
    record.save(run)
    run.metadata_file.write_text(json.dumps({"duration_s": seconds}))


def test_durations_of_earlier_runs(sweep: Sweep, tmp_path: Path) -> None:
    results = tmp_path / "results"
    where = ("--gpu", "24GB", "--results", str(results))
    assert placed(sweep, *where)["duration"] is None
    assert "duration" not in sweep(NAMED, *where)[1]
    ran(results, 0, 60.0)
    ran(results, 1, 180)
    assert placed(sweep, *where)["duration"] is None, "nobody knows what ran there"
    spec = load_spec(tmp_path / "sweep.yaml").to_dict()
    (results / "weights" / "spec.json").write_text(json.dumps(plain(spec)))
    # Their durations are not those of a whole trial of this sweep.
    ran(results, 2, 5.0, state=TrialState.PRUNED)
    ran(results, 3, 5.0, attempt=2)
    ran(results, 4, 5.0, stage="quick")
    ran(results, 5, "nan")
    ran(results, 6, None)
    ran(results, 7, True)
    ran(results, 9, 5.0, slot={"device": "cpu"})
    ran(results, 8, 5.0)
    (results / "weights" / "trials" / "0008-t" / "state.json").write_text("torn")
    found = placed(sweep, *where)["duration"]
    assert found["source"] == f"mean of 2 complete trials in {results / 'weights'}"
    assert found["trial_minutes"] == 2
    ran(results, 1, 6.0)
    _, out, _ = sweep(NAMED, *where)
    assert "duration   33s a trial (mean of 2 complete trials" in out
    assert placed(sweep, *where, "--set", "seed=7")["duration"] is None, "another sweep"


def test_what_has_ended_is_not_planned_again(sweep: Sweep, tmp_path: Path) -> None:
    results = tmp_path / "results"
    where = ("--gpu", "8GB", "--results", str(results))
    assert placed(sweep, *where)["ended"] is None
    spec = load_spec(tmp_path / "sweep.yaml").to_dict()
    ran(results, 0, 120)
    ran(results, 1, 60, state=TrialState.WAITING)
    (results / "weights" / "spec.json").write_text(json.dumps(plain(spec)))
    found = placed(sweep, *where)
    assert (found["ended"], found["duration"]["worst_minutes"]) == (1, 4)
    assert placed(sweep, *where, "--trial-minutes", "7")["duration"]["worst_minutes"] == 14
    assert "Kept from an earlier run: 1 trial." in sweep(NAMED, *where)[1]
    _, out, err = sweep(NAMED, *where, "--set", "fixed.epochs=7")
    assert "weights: a sweep with another spec ran there (" in err
    assert "needs --new, or undo the change" in err
    assert "Kept from" not in out


def test_an_unbounded_sweep_has_no_total_duration(sweep: Sweep) -> None:
    code, out, _ = sweep(BAYES, "--gpu", "16GB", "--trial-minutes", "2", "--json")
    assert code == 0
    found = json.loads(out)["duration"]
    assert (found["trial_minutes"], found["best_minutes"]) == (2, None)
    _, out, _ = sweep(BAYES, "--gpu", "16GB", "--trial-minutes", "2")
    assert "duration   2m 00s a trial (--trial-minutes)\n" in out
    assert "case" not in out.split("duration")[1]


@pytest.mark.parametrize(
    ("minutes", "said"),
    [("1.5617", "1m 34s"), ("0.5", "30s"), ("0.05", "3s"), ("0.002", "0.12s"), ("1500", "25h 00m")],
)
def test_durations_are_readable(sweep: Sweep, minutes: str, said: str) -> None:
    _, out, _ = sweep(NAMED, "--gpu", "8GB", "--trial-minutes", minutes)
    assert f"duration   {said} a trial" in out


@pytest.mark.parametrize(
    "forms", [("--json", "--configs"), ("--argv", "--json"), ("--configs", "--argv")]
)
def test_one_form_at_a_time(sweep: Sweep, forms: tuple[str, ...]) -> None:
    code, out, err = sweep(CONSTRAINED, *forms)
    assert (code, out) == (2, "")
    assert "mutually exclusive" in err
    assert all(form in err for form in forms)


def test_a_card_that_holds_none_is_refused(sweep: Sweep) -> None:
    code, out, err = sweep(NAMED, "--gpu", "4GB:GTX 1650")
    assert (code, out) == (2, "")
    assert "GPU 0 (GTX 1650) has 4.0 GiB in all: 4.0 GiB (4096 MiB) short" in err


def test_several_cards_and_the_choice_among_them(sweep: Sweep) -> None:
    cards = ("--gpu", "8GB", "--gpu", "4GB", "--gpu", "16GB")
    found = placed(sweep, *cards)
    assert sorted(slot["device"] for slot in found["slots"]) == ["0", "2", "2"]
    assert placed(sweep, *cards, "--gpus", "2")["max_parallel"] == 2
    assert placed(sweep, *cards, "--max-parallel", "1")["mode"] == "sequential"
    code, _, err = sweep(NAMED, *cards, "--gpus", "3")
    assert code == 2
    assert "no GPU '3' (found: GPU 0, GPU 1, GPU 2)." in err


def test_a_size_without_a_unit_is_refused(sweep: Sweep) -> None:
    code, _, err = sweep(NAMED, "--gpu", "16")
    assert code == 2
    assert "--gpu 16: expected a size with a unit" in err


def test_without_a_gpu(sweep: Sweep) -> None:
    found = placed(sweep)
    assert {slot["device"] for slot in found["slots"]} == {"cpu"}
    assert found["start_parallel"] == found["max_parallel"] == len(found["slots"])
    assert found["reason"].startswith("no GPU: ")
    assert "CUDA_VISIBLE_DEVICES='' hides all GPUs" in found["reason"]
    code, _, err = sweep(NAMED, "--gpus", "0")
    assert code == 2
    assert "there is no GPU to use here" in err


def test_set_reaches_the_placement(sweep: Sweep) -> None:
    found = placed(sweep, "--gpu", "16GB", "--set", "resources.gpu_memory=4GB")
    assert (found["mode"], found["need"]["memory_mib"]) == ("parallel", 4096)
    off = placed(sweep, "--gpu", "16GB", "--set", "resources.gpus=0")
    assert {slot["device"] for slot in off["slots"]} == {"cpu"}


def test_for_people(sweep: Sweep) -> None:
    code, out, _ = sweep(NAMED, "--gpu", "16GB:RTX A4000")
    assert code == 0
    for words in (
        "weights",
        "Three weightings of the loss",
        "trials     3\n",
        "method     grid",
        "val_t20_mae (minimize)",
        "conservative: as before; risk: low",
        "moderate: expects t20_mae 0.020 to 0.025",
        "epochs=3",
        "sequential: starts with 1, room for 2",
        "GPU 0 (RTX A4000) with 16.0 GiB free holds 2 at once, starting with one",
        "GPU 0, 8.0 GiB",
    ):
        assert words in out
    rows = [line.split() for line in out.splitlines() if "aggressive" in line]
    assert rows[0] == ["2", "aggressive", "4"]
    assert "more" not in out


def test_only_the_first_trials_of_a_million_are_made(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0
    original = plan_text.iter_configs

    def counted(spec: Spec) -> Iterator[TrialConfig]:
        nonlocal made
        for trial in original(spec):
            made += 1
            yield trial

    monkeypatch.setattr(plan_text, "iter_configs", counted)
    code, out, _ = sweep(GRID)
    assert code == 0
    assert "trials     1,000,000\n" in out
    header = next(line for line in out.splitlines() if line.split()[:1] == ["#"])
    assert header.split()[2:] == ["c50_weight", "edt_weight", "t20_weight"]
    assert "… and 999,980 more" in out
    assert made == 20
    _, out, _ = sweep(GRID, "--limit", "3")
    assert "… and 999,997 more" in out


def test_configs_are_one_json_object_a_line_in_starting_order(sweep: Sweep) -> None:
    code, out, _ = sweep(GRID, "--configs", "--limit", "102")
    assert code == 0
    configs = [json.loads(line) for line in out.splitlines()]
    assert len(configs) == 102
    names = ("c50_weight", "edt_weight", "t20_weight")
    weights = [tuple(config[name] for name in names) for config in configs]
    # Names sorted, the last fastest.
    assert weights[:2] == [(0.1, 0.1, 0.1), (0.1, 0.1, 0.2)]
    assert weights[101] == (0.1, 0.2, 0.2)


def test_configs_of_named_trials(sweep: Sweep) -> None:
    _, out, _ = sweep(NAMED, "--configs")
    assert [json.loads(line)["t20_weight"] for line in out.splitlines()] == [2.5, 3.0, 4.0]
    assert sweep(NAMED, "--configs", "--limit", "0")[1] == ""


def test_a_random_draw_is_the_same_each_time(sweep: Sweep) -> None:
    drawn = BAYES.replace("bayes", "random")
    first = sweep(drawn, "--configs", "--limit", "5")[1]
    assert len(first.splitlines()) == 5
    assert sweep(drawn, "--configs", "--limit", "9")[1].startswith(first)
    code, out, _ = sweep(drawn, "--gpu", "16GB")
    assert code == 0
    assert "trials     unbounded\n" in out
    assert "without end" in out


@pytest.mark.parametrize("arguments", [(), ("--configs",)])
def test_bayes_shows_its_space(sweep: Sweep, arguments: tuple[str, ...]) -> None:
    code, out, _ = sweep(BAYES, *arguments)
    assert code == 0
    assert "lr: 1e-05 to 0.01 (log_uniform_values)" in out
    assert "dropout: one of 0.1, 0.3" in out
    assert "batch_size: 8" in out
    assert "Named trials" not in out
    assert "Each config is chosen when its trial starts" in out


def test_bayes_with_named_trials_and_a_pinned_parameter(sweep: Sweep) -> None:
    text = BAYES + "trials: {a: {set: {epochs: 2}}, b: {set: {epochs: 3}}}\n"
    _, out, _ = sweep(text, "--configs", "--set", "dropout=0.2")
    assert "Named trials alternate: a, b." in out
    assert "dropout: 0.2\n" in out
    assert "one of" not in out


def test_an_unbounded_sweep_has_null_trials(sweep: Sweep) -> None:
    found = json.loads(sweep(BAYES, "--json", "--gpu", "16GB")[1])
    assert found["n_trials"] is None
    assert found["need"] == {"memory_mib": None, "source": "unknown"}
    assert (found["start_parallel"], found["max_parallel"]) == (1, 1)


def test_warnings_go_to_standard_error(sweep: Sweep) -> None:
    text = "version: 1\nname: own\nprogram: absent.py\nparameters: {lr: {values: [1, 2]}}\n"
    code, out, err = sweep(text, "--configs")
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [{"lr": 1}, {"lr": 2}]
    assert "Warning: " in err
    assert "absent.py" in err


def test_a_mistake_in_the_file_is_refused(sweep: Sweep) -> None:
    code, out, err = sweep(NAMED.replace("trainer: edc", "trainer: edcc"))
    assert (code, out) == (2, "")
    assert "sweep.yaml:4" in err


def test_with_the_memory_that_is_really_free(tmp_path: Path) -> None:
    nvml = fake_nvml.build(tmp_path)
    path = tmp_path / "sweep.yaml"
    path.write_text(NAMED)

    def call(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "orchestrator", "plan", str(path), *arguments],
            env=nvml.env(**env),
            capture_output=True,
            text=True,
            check=False,
        )

    nvml.write([Card(24576, 24576), Card(8192, 8192)])
    found = json.loads(call("--json", CUDA_VISIBLE_DEVICES="0").stdout)
    assert (found["mode"], found["max_parallel"]) == ("parallel", 3)
    assert {slot["visible"] for slot in found["slots"]} == {uuid_of(0)}
    found = json.loads(call("--json", "--gpus", "1").stdout)
    assert [slot["visible"] for slot in found["slots"]] == [uuid_of(1)]

    nvml.write([Card(24576, 16500)])
    found = json.loads(call("--json").stdout)
    assert (found["mode"], found["max_parallel"]) == ("sequential", 2)

    nvml.write([Card(24576, 5000, "NVIDIA GeForce RTX 3090")])
    refused = call("--json")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "GPU 0 (NVIDIA GeForce RTX 3090) has 4.9 GiB of its 24.0 GiB free" in refused.stderr
    assert "(3192 MiB) short" in refused.stderr

    nvml.write([Card(24576)], [("nvmlInit", None, fake_nvml.VERSION_MISMATCH)])
    found = json.loads(call("--json").stdout)
    assert {slot["device"] for slot in found["slots"]} == {"cpu"}
    assert "the NVIDIA driver says: " in found["reason"]


def test_memory_promised_by_another_sweep_is_not_used(tmp_path: Path) -> None:
    nvml = fake_nvml.build(tmp_path)
    nvml.write([Card(24576)])
    path = tmp_path / "sweep.yaml"
    path.write_text(NAMED)
    leases = tmp_path / "leases"

    def plan_now() -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "orchestrator", "plan", str(path), "--json"],
            env=nvml.env(SWEEP_LEASES=str(leases)),
            capture_output=True,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    assert plan_now()["max_parallel"] == 3
    with Leases(leases).claim(uuid_of(0), 6 << 30):
        found = plan_now()
        assert (found["mode"], found["max_parallel"]) == ("sequential", 2)
        assert "(other sweeps have promised 6.0 GiB of what is free)" in found["reason"]
    assert plan_now()["max_parallel"] == 3


def test_described_cards_need_no_driver(tmp_path: Path) -> None:
    nvml = fake_nvml.build(tmp_path)
    nvml.write([Card(4096)])
    path = tmp_path / "sweep.yaml"
    path.write_text(NAMED)
    code = (
        "import sys\n"
        "from orchestrator.cli import main\n"
        "try:\n"
        "    main(['plan', sys.argv[1], '--gpu', '24GB'])\n"
        "finally:\n"
        "    print('pynvml' in sys.modules, 'click' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env=nvml.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("False True\n")


CONSTRAINED = (
    "program: train.py\nparameters: {lr: {values: [1e-3, 0.1]}, bs: {values: [2, 16]}}\n"
    "constraints: [{forbid: bs < 4 and lr > 0.01, reason: noisy}]\n"
)


def test_argv(sweep: Sweep, tmp_path: Path) -> None:
    (tmp_path / "train.py").touch()
    code, out, _ = sweep(CONSTRAINED, "--argv", "--limit", "1")
    script = str(tmp_path / "train.py")
    assert (code, json.loads(out)) == (0, [sys.executable, script, "--bs=2", "--lr=0.001"])


def test_argv_of_a_program_that_is_not_there(sweep: Sweep) -> None:
    code, out, err = sweep(CONSTRAINED, "--argv")
    assert (code, len(out.splitlines())) == (0, 3)
    assert "program: no script or command" in err


def test_argv_of_a_command(sweep: Sweep) -> None:
    code, out, _ = sweep(
        "program: t.py\nmethod: grid\nparameters: {x: {values: [1]}}\n"
        "command: ['${env}', '${interpreter}', '${program}', go, '${args_no_hyphens}']\n",
        "--argv",
    )
    assert (code, json.loads(out)) == (0, ["/usr/bin/env", "python", "t.py", "go", "x=1"])


def test_argv_of_a_trainer_is_refused(sweep: Sweep) -> None:
    code, _, err = sweep("trainer: edc\n", "--argv")
    assert code == 2
    assert "--argv: this sweep has no program" in err


def test_excluded_configs_are_listed(sweep: Sweep) -> None:
    code, out, _ = sweep(CONSTRAINED)
    assert code == 0
    assert "trials     3" in out
    assert "excluded   1 by constraints" in out
    assert "bs=2, lr=0.1: forbid bs < 4 and lr > 0.01 (noisy)" in out
    reason = "forbid bs < 4 and lr > 0.01 (noisy)"
    example = {"config": {"bs": 2, "lr": 0.1}, "reason": reason, "trial": None}
    assert json.loads(sweep(CONSTRAINED, "--json")[1])["excluded"] == {
        "count": 1,
        "examples": [example],
    }


def test_cards_on_several_hosts_are_planned_together(sweep: Sweep) -> None:
    found = placed(sweep, "--gpu", "a:16GB", "--gpu", "b:8GB", "--gpu", "b:8GB:RTX 3070")
    assert found["mode"] == "parallel"
    assert found["start_parallel"] == 3
    assert [(slot["node"], slot["device"]) for slot in found["slots"]] == [
        ("a", "0"),
        ("b", "0"),
        ("b", "1"),
    ]
    code, out, err = sweep(NAMED, "--gpu", "a:16GB", "--gpu", "b:4GB")
    assert code == 0
    assert "slot 1     GPU 0 of a, 8.0 GiB" in out
    assert "3 trials of 8.0 GiB each, on 1 node: a: GPU 0 with 16.0 GiB free" in out
    assert "Warning: --gpu: no trial fits on b." in err
    code, _, err = sweep(NAMED, "--gpu", "a:16GB", "--gpus", "0")
    assert code == 2
    assert "--gpu and --gpus are mutually exclusive" in err


@pytest.mark.parametrize(("seeds", "words"), [(3, "3 seeds find a"), (1, "may be the seed")])
def test_what_the_seeds_resolve_is_known_from_an_earlier_sweep(
    tmp_path: Path, sweep: Sweep, seeds: int, words: str
) -> None:
    before = made.sweep(
        tmp_path, "before", metric="val_mse", spec={"trainer": "signal", "seeds": [0, 1]}
    )
    for replicate, value in enumerate((0.10, 0.12)):
        made.trial(before, replicate, group=0, replicate=replicate, value=value)
    text = (
        "version: 1\ntrainer: signal\nmetric: val_mse\nparameters: {lr: {values: [0.01, 0.02]}}\n"
        f"seeds: {list(range(seeds))}\n"
    )
    arguments = ["--results", str(tmp_path), "--gpu", "16GB"]
    code, out, err = sweep(text, *arguments)
    assert code == 0, err
    assert words in out
    assert "(seeds differed by 0.01414 in 1 config of before)" in out
    shown = json.loads(sweep(text, *arguments, "--json")[1])["resolution"]
    assert (shown["seeds"], shown["sweep"]) == (seeds, "before")
