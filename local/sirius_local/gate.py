"""Decides which requests reach the process that plays AWS.

It listens on 127.0.0.1, which keeps other machines out and no web page: a page that a developer happens to open can
send requests there from the developer's own browser, also under a name that leads to 127.0.0.1. So a request has to be
for a loopback name, must not come from a page of an origin that is not allowed, and has to know a secret that is made
for each server, unless it is for a route of the API, which has authorisers of its own.
"""

import hmac
import http.server
import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECRET_HEADER = "x-sirius-secret"

_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?", re.ASCII)
# What ministack takes for the root of an account, and checks no signature of.
_FIXED_KEY = re.compile(r"test|[0-9]{12}", re.ASCII)
_ONCE = ("host", "origin", "sec-fetch-site", "authorization", SECRET_HEADER)

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """The parts of a request that are judged."""

    path: str
    headers: list[tuple[str, str]]
    """Names in lower case."""
    access_key: str
    """The id of the access key that it claims to be signed with; empty if it claims none."""
    is_of_api: bool
    """Whether it is for a route of an API, whose authoriser decides."""

    def header(self, name: str) -> str | None:
        """Returns the first value of a header."""
        return next((value for known, value in self.headers if known == name), None)


@dataclass(frozen=True)
class Gate:
    """The rules for requests."""

    secret: str
    """The id of the root's access key, known to the user who started the stack."""
    origins: Path
    """A JSON list of the origins whose pages may call the API."""

    def refusal(self, request: Request) -> str | None:
        """Returns why a request may not pass; none if it may."""
        for name in _ONCE:
            if sum(known == name for known, _ in request.headers) > 1:
                return f"the header {name} comes twice"
        return refusal_of_page(request.header, self._allowed()) or self._refusal_of_stranger(request)

    def _refusal_of_stranger(self, request: Request) -> str | None:
        knows = self._is_secret(request.header(SECRET_HEADER)) or self._is_secret(request.access_key)
        if knows:
            return None
        if _FIXED_KEY.fullmatch(request.access_key):
            return "the access key is not that of this stack: see .local/env"
        if request.is_of_api and request.header("x-amz-target") is None:
            return None
        # Other keys are of users and roles of the emulated account, whose signatures ministack checks; but for what
        # is no service of AWS: that needs no key there.
        if not request.access_key or request.path.startswith("/_"):
            return f"neither signed nor with the secret of this stack in {SECRET_HEADER}"
        return None

    def _is_secret(self, text: str | None) -> bool:
        return text is not None and hmac.compare_digest(text.encode(), self.secret.encode())

    def _allowed(self) -> list[str]:
        try:
            allowed = json.loads(self.origins.read_text())
        except (OSError, ValueError):
            return []
        return [origin for origin in allowed if isinstance(origin, str)] if isinstance(allowed, list) else []


def refusal_of_page(header: Callable[[str], str | None], allowed: Iterable[str] = ()) -> str | None:
    """Returns why a web page's request may not pass; none if it may, or no page has sent it."""
    host = header("host") or ""
    if not _LOOPBACK.fullmatch(host):
        return "the host is not this machine by a loopback name"
    origin, site = header("origin"), header("sec-fetch-site")
    if origin in list(allowed):
        return None
    if origin is not None and origin != f"http://{host}":
        return "the origin is not one of CorsAllowedOrigins"
    if site not in (None, "none", "same-origin"):
        return "a page of another origin has sent it"
    return None


def guard(application: Application, gate: Gate, describe: Callable[[Scope], Request]) -> Application:
    """Passes allowed requests on to the application. Web sockets are refused."""

    async def guarded(scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await application(scope, receive, send)
        elif scope["type"] != "http":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif (reason := gate.refusal(describe(scope))) is not None:
            await _refuse(send, reason)
        else:
            await application(scope, receive, send)

    return guarded


async def _refuse(send: Any, reason: str) -> None:
    body = json.dumps({"message": f"refused by the local stack: {reason}"}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def guard_runtime_apis() -> None:
    """Makes every other HTTP server of this process refuse web pages.

    ministack has one for each function, on a port of its own, where the function fetches its events: a page that
    asked there would take them away.
    """
    handler = http.server.BaseHTTPRequestHandler
    parse = handler.parse_request

    def parse_request(self: http.server.BaseHTTPRequestHandler) -> bool:
        if not parse(self):
            return False
        reason = refusal_of_page(self.headers.get)
        if reason is not None:
            self.send_error(403, reason)
        return reason is None

    handler.parse_request = parse_request  # type: ignore[method-assign]
