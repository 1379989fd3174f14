from __future__ import annotations

import json

import jsonschema
import pytest

from orchestrator.cli import main


def test_it_prints_a_schema_that_tells_files_apart(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["schema"])
    assert caught.value.code == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({"trainer": "edc", "parameters": {"lr": {"values": [1]}}})
    assert not validator.is_valid({"trainer": "edc", "parameter": {"lr": {"values": [1]}}})
    assert not validator.is_valid({"trainer": "edc", "program": "train.py"})
