"""What a sweep file takes from the environment, and secrets, reach the script and no record."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from orchestrator.sweepfile.model.private import Private, is_secret
from tests.cli.running import sweep_in

# It shows what it received in a form that a search for the secrets does not find.
SCRIPT = """
import json, os, sys
got = [*sys.argv[1:], os.environ["STORE"], os.environ["DB_PASSWORD"]]
got += json.load(open(os.environ["SWEEP_CONFIG"])).values()
print("got=" + json.dumps([str(one)[::-1] for one in got]))
print("step=1 loss=0.5")
"""
FILE = """
program: train.py
metrics: {pattern: 'step=(?P<step>\\d+) loss=(?P<loss>\\S+)'}
metric: {name: loss, goal: minimize}
env: {STORE: "${env:STORE_URL}", DB_PASSWORD: literal-pass}
fixed: {hub_token: "${env:HUB}", pin: "${env:PIN_SECRET}", url: "u:${env:STORE_URL}@h", api_key: k-literal}
parameters:
  data: {values: ["${env:STORE_URL}/a", plain]}
  size: {value: "${env:SIZE}"}
"""  # noqa: E501
SECRETS = {
    "STORE_URL": "s3 'quoted' $(id) \"x\"; é",
    "HUB": "hub-value-1234",
    "PIN_SECRET": "90817263",
}
LITERALS = ("literal-pass", "k-literal")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "sweep.yaml").write_text(FILE, encoding="utf-8")
    return tmp_path


def run(folder: Path, *more: str, **env: str) -> subprocess.CompletedProcess[str]:
    known = {**os.environ, **SECRETS, "SIZE": "17", **env}
    return sweep_in(folder, "run", "sweep.yaml", "--inline", *more, env=known)


def test_secrets_reach_the_script_and_are_in_no_file(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = run(folder)
    output = capfd.readouterr().out  # of the script
    assert done.returncode == 0, done.stderr
    texts = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    written = [json.dumps(one, ensure_ascii=False)[1:-1] for one in SECRETS.values()]
    wanted = (*SECRETS.values(), *LITERALS, *written)
    for path, content in texts.items():
        found = [one for one in wanted if one.encode() in content]
        is_source = path.name in ("sweep.yaml", "train.py")
        assert is_source or not found, f"{path.name} holds {found}"
    assert not [one for one in wanted if one in done.stdout + done.stderr + output]
    got, _ = json.JSONDecoder().raw_decode(output.partition("got=")[2])
    plain = [one[::-1] for one in got]
    store = SECRETS["STORE_URL"]
    assert {f"--hub_token={SECRETS['HUB']}", f"--pin={SECRETS['PIN_SECRET']}"} <= set(plain)
    assert {f"--url=u:{store}@h", f"--data={store}/a", "--size=17", store} <= set(plain)
    assert {*LITERALS, "--api_key=k-literal", f"{store}/a"} <= set(plain), "and the config file"
    for name in ("config.json", "wandb-config.yaml"):
        (file,) = folder.glob(f"results/sweep/trials/0000-*/{name}")
        assert file.stat().st_mode & 0o077 == 0
    spec = (folder / "results/sweep/spec.json").read_text(encoding="utf-8")
    assert '"hub_token": "${env:HUB}"' in spec
    assert '"api_key": "${hidden:api_key}"' in spec
    assert "17" in spec, "a number is a setting"


def test_a_sweep_continues_with_another_value(folder: Path) -> None:
    assert run(folder).returncode == 0
    again = run(folder, HUB="another-value-5678")
    assert again.returncode == 0, again.stderr
    assert "another-value" not in again.stdout


@pytest.mark.parametrize("name", ["HUB_TOKEN", "api_key", "dbPassword", "AWS_SECRET_ACCESS_KEY"])
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["tokenizer", "max_tokens", "pad_token", "keyboard", "key", "monkey", "sort_key", "lr"]
)
def test_names_that_are_no_secrets(name: str) -> None:
    assert not is_secret(name)


TEXTS = st.text(max_size=12)
PLACES = st.dictionaries(st.sampled_from(["${env:A}", "${env:B:-x}", "${hidden:k}"]), TEXTS)


@given(PLACES, st.recursive(TEXTS, lambda one: st.lists(one) | st.dictionaries(TEXTS, one)))
def test_what_is_written_is_what_the_trial_gets(values: dict[str, str], settings: object) -> None:
    private = Private(values, {text: place for place, text in values.items()})
    written = private.without(settings)
    if "${" not in json.dumps(settings):
        assert private.put_in(written) == settings


@given(PLACES, TEXTS)
def test_no_long_value_is_left_inside_a_text(values: dict[str, str], text: str) -> None:
    for value in values.values():
        shown = Private(values).masked(f"{text}{value}{text}")
        assert len(value) < 6 or value not in shown.replace(text, "")
