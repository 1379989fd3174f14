"""Who may use the dashboard: whoever has the link, from a page of the dashboard itself.

Another user of this machine can reach the port, and any web site that is open in the browser can
send requests to it. The secret of the link keeps the first out; the checks of host and origin keep
the second out, also one whose name was made to lead to 127.0.0.1.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = frozenset({"127.0.0.1", "localhost"})  # any port: it may be forwarded by ssh
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        # The hash is that of no text: Plotly makes an empty style sheet and adds rules to it.
        "style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the link holds the secret
    "X-Content-Type-Options": "nosniff",
}


def _name(host: str) -> str | None:
    """Return the name in a header ``Host``; None if there is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


class Guard:
    """Refuses every request that is not by the holder of `secret`, and sets the safe headers."""

    def __init__(self, app: ASGIApp, secret: str, cookie: str) -> None:
        self._app = app
        self._secret = secret
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        from starlette.datastructures import MutableHeaders
        from starlette.requests import Request
        from starlette.responses import PlainTextResponse

        if scope["type"] != "http":
            return
        request = Request(scope)
        refusal = self._refusal(request)
        has_link = self._is_secret(request.query_params.get("token"))

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
                if has_link and refusal is None:
                    value = f"{self._cookie}={self._secret}; HttpOnly; SameSite=Strict; Path=/"
                    headers.append("Set-Cookie", value)
            await send(message)

        if refusal is None:
            await self._app(scope, receive, send_safely)
        else:
            await PlainTextResponse(refusal, 403)(scope, receive, send_safely)

    def _refusal(self, request: Request) -> str | None:
        """Return why a request is refused, or None."""
        host = request.headers.get("host", "")
        if _name(host) not in HOSTS:
            return "This server answers only to 127.0.0.1 and localhost.\n"
        origin = request.headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return "This request comes from another web site.\n"
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._is_secret(given):
            return None
        # Browsers send the cookie with every request, also one that another site makes.
        is_change = request.method not in ("GET", "HEAD")
        if is_change and origin is None:
            return "This request has no origin.\n"
        known = (request.query_params.get("token"), request.cookies.get(self._cookie))
        if any(map(self._is_secret, known)):
            return None
        return "Open the link that `sweep dashboard` printed: it holds the secret.\n"

    def _is_secret(self, text: str | None) -> bool:
        return text is not None and secrets.compare_digest(text.encode(), self._secret.encode())
