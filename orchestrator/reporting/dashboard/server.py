"""Serve the pages of the dashboard on 127.0.0.1."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from orchestrator.errors import UsageError
from orchestrator.reporting.dashboard.access import Guard
from orchestrator.reporting.dashboard.feed import SweepFeed
from orchestrator.reporting.dashboard.live_page import run_details
from orchestrator.reporting.figures import COLORS
from orchestrator.reporting.page import template
from orchestrator.runs import SweepDir, SweepRecord, SweepState, TrialRecord

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_TYPES = {".css": "text/css", ".js": "text/javascript"}
_LIST_S = 1.0  # between two looks at the list of sweeps


def listen(port: int = 0) -> socket.socket:
    """Return a socket that listens on 127.0.0.1; `port` 0 takes a free one.

    Raises:
        UsageError: the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise UsageError(
            f"--port: cannot listen on port {port} ({error.strerror}). Name another one, or 0 for "
            "one that is free."
        ) from None
    listener.listen(128)
    return listener


def address(listener: socket.socket, secret: str, sweep: str | None = None) -> str:
    """Return the link that opens the dashboard, or the page of one sweep."""
    page = "" if sweep is None else f"sweep/{quote(sweep, safe='')}"
    return f"http://127.0.0.1:{listener.getsockname()[1]}/{page}?token={secret}"


def serve(
    listener: socket.socket,
    secret: str,
    results: Path,
    *,
    expected: SweepDir | None = None,
    arrays: Mapping[str, Any] | None = None,
) -> None:
    """Answer requests until a signal ends the process.

    Args:
        listener: from `listen`.
        secret: what the link holds.
        results: the folder of the sweeps.
        expected: a sweep whose folder is still to be made.
        arrays: what is known of arrays, as `collect` takes it: ``kind`` and ``data``.
    """
    import uvicorn

    port = listener.getsockname()[1]
    app = Guard(application(results, expected, arrays), secret, f"sweep_dashboard_{port}")
    config = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=1,  # the streams of open pages never end by themselves
    )
    uvicorn.Server(config).run([listener])


def application(
    results: Path, expected: SweepDir | None = None, arrays: Mapping[str, Any] | None = None
) -> Starlette:
    """Return the pages of all sweeps in a folder, without any check of who requests them."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    pages = _Pages(results, expected, arrays)
    return Starlette(
        routes=[
            Route("/", pages.index),
            Route("/events", pages.index_events),
            Route("/sweep/{name}", pages.sweep),
            Route("/sweep/{name}/events", pages.events),
            Route("/sweep/{name}/run/{place}", pages.run),
            Route("/sweep/{name}/stop", pages.stop, methods=["POST"]),
            Route("/static/{name}", pages.static),
        ]
    )


class _Pages:
    """What answers the requests."""

    def __init__(
        self, results: Path, expected: SweepDir | None, arrays: Mapping[str, Any] | None
    ) -> None:
        self._results = results
        self._arrays = arrays
        self._feeds: dict[str, SweepFeed] = {}
        if expected is not None:
            self._feeds[expected.name] = SweepFeed(expected, arrays)

    async def index(self, request: Request) -> Response:
        return _html(template("index.html").render(sweeps=_listed(self._results)))

    async def index_events(self, request: Request) -> Response:
        return _stream(self._lists())

    async def _lists(self) -> AsyncIterator[str]:
        before = ""
        while True:
            sweeps = await asyncio.to_thread(_listed, self._results)
            shown = template("index.html")
            html = "".join(shown.blocks["sweeps"](shown.new_context({"sweeps": sweeps})))
            yield json.dumps({"parts": {"sweeps": html}}) if html != before else ""
            before = html
            await asyncio.sleep(_LIST_S)

    async def sweep(self, request: Request) -> Response:
        feed = self._feed(request)
        shown = {"name": feed.sweep.name, "colors": COLORS, "map_style": _map_style()}
        return _html(template("live.html").render(shown))

    async def events(self, request: Request) -> Response:
        return _stream(self._feed(request).messages())

    async def run(self, request: Request) -> Response:
        report, place = self._feed(request).report, request.path_params["place"]
        places = [] if report is None else [str(each) for each in range(len(report.runs))]
        if report is None or place not in places:
            return _text("There is no such run.\n", 404)
        return _html(run_details(report, int(place)))

    async def stop(self, request: Request) -> Response:
        sweep = self._feed(request).sweep
        try:
            number = json.loads(await request.body())["trial"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return _text('The request has no "trial".\n', 400)
        if not sweep.driver_lives():
            return _text("The sweep is not running.\n", 409)
        if number is not None:
            is_number = type(number) is int  # true equals 1
            found = [run for run in sweep.run_dirs() if is_number and run.number == number]
            record = TrialRecord.load(found[0]) if found else None
            if record is None:
                return _text("There is no such trial.\n", 404)
            if record.state.is_finished:
                return _text(f"The trial has already ended ({record.state.value}).\n", 409)
        await asyncio.to_thread(sweep.request_stop, number)
        return _text("Requested.\n", 202)

    async def static(self, request: Request) -> Response:
        from starlette.responses import Response

        name = request.path_params["name"]
        content: str | bytes
        if name == "plotly.js":
            from plotly.offline import get_plotlyjs

            content = await asyncio.to_thread(get_plotlyjs)
        else:
            folder = resources.files("orchestrator.reporting") / "templates"
            file = next((each for each in folder.iterdir() if each.name == name), None)
            if Path(name).suffix not in _TYPES or file is None:
                return _text("There is no such file.\n", 404)
            content = file.read_bytes()
        headers = {"Cache-Control": "private, max-age=3600"} if name == "plotly.js" else {}
        return Response(content, media_type=_TYPES[Path(name).suffix], headers=headers)

    def _feed(self, request: Request) -> SweepFeed:
        """Return the feed of the sweep that a request names."""
        from starlette.exceptions import HTTPException

        name = request.path_params["name"]
        if name not in self._feeds:
            found = [sweep for sweep in SweepDir.all_in(self._results) if sweep.name == name]
            if not found:
                raise HTTPException(404, "There is no such sweep.")
            self._feeds[name] = SweepFeed(found[0], self._arrays)
        return self._feeds[name]


@cache
def _map_style() -> str:
    """Return the id of the style element that Plotly adds for its maps; "" if it adds none.

    If an element of this id is there, it adds none, which the policy of the page would forbid.
    """
    from plotly.offline import get_plotlyjs

    found = re.search(r'getElementById\("([0-9a-f]{64})"\)', get_plotlyjs())
    return found[1] if found else ""


def _listed(results: Path) -> list[dict[str, Any]]:
    """Return what the list shows of each sweep, the newest first."""
    found = []
    for sweep in SweepDir.all_in(results):
        record = SweepRecord.load(sweep)
        if record is not None:
            state = record.state_now(sweep)
            found.append(
                {
                    "name": sweep.name,
                    "link": f"/sweep/{quote(sweep.name, safe='')}",
                    "state": state.value.lower(),
                    "is_running": state is SweepState.RUNNING,
                    "metric": record.metric,
                    "n_trials": record.n_trials,
                    "started_at": record.started_at[:16].replace("T", " "),
                }
            )
    return found


def _stream(messages: AsyncIterator[str]) -> Response:
    """Return server-sent events; "" is a comment that keeps the connection open."""
    from starlette.responses import StreamingResponse

    async def events() -> AsyncIterator[str]:
        async with contextlib.aclosing(messages) as each:  # type: ignore[type-var]
            async for message in each:
                yield f"data: {message}\n\n" if message else ":\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


def _html(text: str) -> Response:
    from starlette.responses import HTMLResponse

    return HTMLResponse(text)


def _text(text: str, status: int) -> Response:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(text, status)
