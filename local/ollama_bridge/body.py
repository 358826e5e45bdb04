"""Reads requests: checks the caller, limits the size, parses JSON."""

import json
import math
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import Any, NoReturn
from urllib.parse import urlsplit

from .errors import ApiError, ClientGone

MAX_BODY = 2 << 20
_MAX_DISCARDED = 16 << 20
_LOCAL = {"localhost", "127.0.0.1", "::1"}


def client_may_call(headers: Message) -> bool:
    """Refuses web pages: a foreign Origin, or a Host that DNS rebinding left behind."""
    try:
        host = urlsplit("//" + headers.get("Host", "localhost")).hostname
        origin = headers.get("Origin")
        return host in _LOCAL and (origin is None or urlsplit(origin).hostname in _LOCAL)
    except ValueError:
        return False


def read_body(handler: BaseHTTPRequestHandler) -> bytes:
    """Reads the whole body, at most `MAX_BODY`."""
    length = _content_length(handler)
    if length > MAX_BODY:
        discard_body(handler)
        raise ApiError(413, f"request body larger than {MAX_BODY} bytes")
    body = handler.rfile.read(length)
    if len(body) < length:
        raise ClientGone
    return body


def discard_body(handler: BaseHTTPRequestHandler) -> None:
    """Reads a refused body, within limits: closing on unread bytes would reset the connection before the answer."""
    handler.close_connection = True
    remaining = min(_content_length(handler), _MAX_DISCARDED)
    while remaining > 0 and (data := handler.rfile.read(min(remaining, 1 << 16))):
        remaining -= len(data)


def parse_json(body: bytes) -> dict[str, Any]:
    """Parses a JSON object. Its text is clean: no half surrogates, which UTF-8 could not carry on."""
    if not body:
        raise ApiError(400, "missing request body")
    try:
        value = json.loads(body.decode("utf-8", "replace"), parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ApiError(400, "invalid JSON: nested too deeply") from None
    except ValueError as error:
        raise ApiError(400, f"invalid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ApiError(400, "json: cannot unmarshal a value that is not an object")
    return {_clean(key): _clean(item) for key, item in value.items()}


def _content_length(handler: BaseHTTPRequestHandler) -> int:
    if handler.headers.get("Transfer-Encoding") is not None:
        handler.close_connection = True
        raise ApiError(411, "the bridge needs a Content-Length, it reads no chunked requests")
    lengths = set(handler.headers.get_all("Content-Length", ["0"]))
    text = lengths.pop()
    if lengths or not (text.isascii() and text.isdigit()):
        handler.close_connection = True
        raise ApiError(400, "invalid Content-Length")
    return int(text)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is out of range")
    return number
