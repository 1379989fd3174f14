"""Who may use the dashboard, and what its requests do, with a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.files import lock
from orchestrator.reporting.dashboard import address, listen, serve
from orchestrator.runs import SweepState, TrialState
from tests.analysis import made
from tests.reporting.made_report import HOSTILE, a_sweep

SECRET = "a-secret"
HEADER = {"Authorization": f"Bearer {SECRET}"}


class Client:
    """Sends requests to the server."""

    def __init__(self, port: int, results: Path) -> None:
        self.port, self.results = port, results

    def send(
        self, path: str, *, method: str = "GET", body: object = None, **headers: str
    ) -> tuple[HTTPResponse, str]:
        """Return the answer and its text; `headers` have _ for -."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, named)
        answer = connection.getresponse()
        with answer:
            return answer, answer.read().decode()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    results = tmp_path_factory.mktemp("results")
    a_sweep(results)
    listener = listen()
    threading.Thread(target=serve, args=(listener, SECRET, results), daemon=True).start()
    yield Client(listener.getsockname()[1], results)
    listener.close()


@pytest.mark.parametrize("page", ["/", "/sweep/demo", "/static/report.js", "/events"])
def test_nothing_is_shown_without_the_secret(client: Client, page: str) -> None:
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "sweep_dashboard_1=x"}):
        answer, text = client.send(page, **given)
        assert answer.status == 403
        assert "Open the link" in text
    assert client.send(f"{page}?token=wrong")[0].status == 403


def test_the_link_gives_a_cookie_that_no_script_and_no_other_site_can_use(client: Client) -> None:
    answer, text = client.send(f"/sweep/demo?token={SECRET}")
    assert answer.status == 200
    assert "<h1>demo</h1>" in text
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    again, _ = client.send("/sweep/demo", Cookie=cookie.partition(";")[0])
    assert again.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_other_names_and_other_sites_are_refused(client: Client) -> None:
    for host in ("evil.example", f"evil.example:{client.port}", "127.0.0.1.evil.example", ""):
        answer, text = client.send("/", **HEADER, Host=host)
        assert answer.status == 403, text
    assert client.send("/", **HEADER, Host="localhost:8123")[0].status == 200, "forwarded by ssh"
    here = f"http://127.0.0.1:{client.port}"
    for origin in ("http://evil.example", f"{here}0", "null", f"https://127.0.0.1:{client.port}"):
        assert client.send("/", **HEADER, Origin=origin)[0].status == 403
    assert client.send("/", **HEADER, Origin=here)[0].status == 200


def test_a_change_needs_the_origin_or_the_header(client: Client) -> None:
    cookie = f"sweep_dashboard_{client.port}={SECRET}"
    sent = {"method": "POST", "body": {"trial": None}}
    answer, text = client.send("/sweep/demo/stop", **sent, Cookie=cookie)
    assert (answer.status, text) == (403, "This request has no origin.\n")
    here = f"http://127.0.0.1:{client.port}"
    answer, text = client.send("/sweep/demo/stop", **sent, Cookie=cookie, Origin=here)
    assert (answer.status, text) == (409, "The sweep is not running.\n")


def test_a_stop_is_requested_as_sweep_stop_does(client: Client) -> None:
    sweep = made.sweep(client.results, "running", state=SweepState.RUNNING)
    made.trial(sweep, 0, state=TrialState.RUNNING)
    made.trial(sweep, 1, state=TrialState.COMPLETE)
    held = lock.acquire(sweep.lock_file, timeout_s=1, holder="the sweep")
    try:
        for trial, status in ((0, 202), (1, 409), (7, 404), (None, 202), ("0", 404)):
            answer, _ = client.send(
                "/sweep/running/stop", method="POST", body={"trial": trial}, **HEADER
            )
            assert answer.status == status, trial
        assert client.send("/sweep/running/stop", method="POST", body=[], **HEADER)[0].status == 400
    finally:
        held.release()
    requests = [json.loads(path.read_text()) for path in sweep.requests_dir.iterdir()]
    assert sorted(requests, key=str) == [{"stop": 0}, {"stop": None}]


@pytest.mark.parametrize(
    "path", ["/sweep/nosuch", "/sweep/..%2F..", "/static/..%2Fpage.py", "/static/report.html", "/x"]
)
def test_nothing_else_can_be_read(client: Client, path: str) -> None:
    assert client.send(path, **HEADER)[0].status == 404


def test_the_list_shows_hostile_names_as_text(client: Client) -> None:
    made.sweep(client.results, "hostile", metric=HOSTILE)
    _, text = client.send("/", **HEADER)
    assert "hostile" in text
    assert "<script>document" not in text
    assert "<img" not in text


def test_a_taken_port_is_named() -> None:
    with listen() as first:
        port = first.getsockname()[1]
        assert first.getsockname()[0] == "127.0.0.1"
        assert (
            address(first, "s", "a b/ü") == f"http://127.0.0.1:{port}/sweep/a%20b%2F%C3%BC?token=s"
        )
        with pytest.raises(UsageError, match=f"--port: cannot listen on port {port}"):
            listen(port)
