"""The server that `sweep run --dashboard` starts: it is there at once, and ends with the run."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.analysis import made

pytestmark = pytest.mark.slow

RUN = """\
import sys
from pathlib import Path
from orchestrator.reporting.dashboard import beside_run
from orchestrator.runs import SweepDir
with beside_run(SweepDir(Path(sys.argv[1]))) as link:
    print(link, flush=True)
    sys.stdin.read()
"""


def is_served(link: str) -> bool:
    try:
        with urlopen(link, timeout=30) as page:
            assert b"<h1>demo</h1>" in page.read()
    except URLError:
        return False
    return True


def test_it_serves_a_sweep_whose_folder_is_made_later_and_ends_when_the_run_is_killed(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path / "demo")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        assert is_served(link)
        made.sweep(tmp_path)
        assert is_served(link)
        process.kill()
    deadline = time.monotonic() + 30
    while is_served(link):
        assert time.monotonic() < deadline
        time.sleep(0.1)
