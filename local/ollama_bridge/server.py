"""The HTTP side: routes, bounded bodies and connections, JSON and chunked NDJSON answers."""

import json
import math
import select
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from . import answer
from .body import client_may_call, discard_body, parse_json, read_body
from .errors import ApiError, ClientGone
from .gguf import Gguf
from .names import MODEL_NAME, VERSION, check_model_name
from .request import Request, parse_chat, parse_generate
from .scheduler import Scheduler

IDLE_TIMEOUT = 300.0  # seconds an idle kept-alive connection stays open
IO_TIMEOUT = 30.0  # seconds one read or write of a request in progress may take
SPARE_CONNECTIONS = 32  # beyond those the queue can hold
_FOREVER = 250 * 365 * 86400.0  # how far ahead `/api/ps` says "never"


class Bridge(ThreadingHTTPServer):
    """Listens on the loopback interface only; a port of 0 means any free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, model: Gguf, scheduler: Scheduler, max_queue: int, request_timeout: float) -> None:
        self.model = model
        self.scheduler = scheduler
        self.request_timeout = request_timeout
        self._connections = threading.BoundedSemaphore(max_queue + SPARE_CONNECTIONS)
        self._answering = 0
        self._changed = threading.Condition()
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        """Where the bridge serves."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Counts the requests being answered."""
        with self._changed:
            self._answering += 1
        try:
            yield
        finally:
            with self._changed:
                self._answering -= 1
                self._changed.notify_all()

    def wait_until_idle(self, seconds: float) -> None:
        """Lets running requests send their last line."""
        with self._changed:
            self._changed.wait_for(lambda: self._answering == 0, seconds)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Refuses a connection too many by closing it: it costs no thread."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves one connection, then gives its place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs errors except broken connections, which clients cause."""
        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Bridge
    protocol_version = "HTTP/1.1"
    timeout = IDLE_TIMEOUT
    disable_nagle_algorithm = True

    def version_string(self) -> str:
        """Returns the Server header."""
        return "sirius-ollama-bridge"

    def parse_request(self) -> bool:
        """Sets a timeout for the rest of the request, once its first line has arrived."""
        self.connection.settimeout(IO_TIMEOUT)
        return super().parse_request()

    def _serve(self) -> None:
        self._headers_sent = False
        try:
            with self.server.answering():
                self._route()
        except ApiError as error:
            self._send_error(error)
        except ClientGone:
            self.log_message("client gone: %s", self.path)
            self.close_connection = True
        except OSError as error:
            self.log_message("connection lost: %s", error)
            self.close_connection = True
        except Exception:
            traceback.print_exc()
            self._send_error(ApiError(500, "internal error of the bridge, see its log"))
        self.connection.settimeout(IDLE_TIMEOUT)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve

    def _route(self) -> None:
        if not client_may_call(self.headers):
            discard_body(self)
            self._send(403, b"", "text/plain")
            return
        body = read_body(self)
        path = self.path.split("?", 1)[0]
        reads = {"/api/version": lambda: {"version": VERSION}, "/api/tags": self._tags, "/api/ps": self._ps}
        writes = {"/api/chat": self._chat, "/api/generate": self._generate}
        if path != "/" and path not in reads and path not in writes:
            self._send(404, b"404 page not found", "text/plain")
        elif self.command not in (("POST",) if path in writes else ("GET", "HEAD")):
            allow = "POST" if path in writes else "GET, HEAD"
            self._send(405, b"405 method not allowed", "text/plain", {"Allow": allow})
        elif path in writes:
            writes[path](parse_json(body))
        elif path in reads:
            self._send_json(200, reads[path]())
        else:  # the constant that clients look for, not a claim
            self._send(200, b"Ollama is running", "text/plain; charset=utf-8")

    def _tags(self) -> dict[str, Any]:
        modified = answer.rfc3339(self.server.model.modified_ns)
        return {"models": [{**self._model(), "modified_at": modified, "capabilities": ["completion"]}]}

    def _ps(self) -> dict[str, Any]:
        loaded = self.server.scheduler.loaded()
        if loaded is None:
            return {"models": []}
        expires = time.time() + (_FOREVER if math.isinf(loaded.expires_in) else loaded.expires_in)
        entry = {
            "expires_at": answer.rfc3339(int(expires * 1e9)),
            "size_vram": 0,
            "context_length": loaded.num_ctx,
        }
        return {"models": [{**self._model(), **entry}]}

    def _model(self) -> dict[str, Any]:
        model = self.server.model
        return {
            "name": MODEL_NAME,
            "model": MODEL_NAME,
            "size": model.size,
            "digest": model.sha256,
            "details": model.details(),
        }

    def _chat(self, body: dict[str, Any]) -> None:
        name = check_model_name(body.get("model"))
        self._answer(parse_chat(body, name, self.server.model.context_length), answer.chat_shape)

    def _generate(self, body: dict[str, Any]) -> None:
        name = check_model_name(body.get("model"))
        self._answer(parse_generate(body, name, self.server.model.context_length), answer.generate_shape)

    def _answer(self, request: Request, shape: answer.Shape) -> None:
        server = self.server
        deadline = time.monotonic() + server.request_timeout
        parts = answer.answers(request, shape, server.model, server.scheduler, self._client_gone, deadline)
        with closing(parts):
            if request.stream and not request.is_empty():
                self._stream(parts)
            else:
                self._send_json(200, answer.whole(parts, shape))

    def _stream(self, parts: Iterator[dict[str, Any]]) -> None:
        """Answers as Ollama does: no header before the first token; later a failure is a last line."""
        first = next(parts)
        chunked = self.request_version != "HTTP/1.0"
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.close_connection = True
        self.end_headers()
        self._headers_sent = True
        self._write_line(first, chunked)
        try:
            for part in parts:
                self._write_line(part, chunked)
        except ApiError as error:
            self.log_message("failed in mid-stream: %s", error.message)
            self._write_line({"error": error.message}, chunked)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _write_line(self, value: dict[str, Any], chunked: bool) -> None:
        line = _dump(value) + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line) if chunked else line)

    def _send_error(self, error: ApiError) -> None:
        if self._headers_sent:
            self.close_connection = True  # a chunked answer without its end says it is broken
            return
        try:
            self._send_json(error.status, {"error": error.message})
        except OSError:
            self.close_connection = True

    def _send_json(self, status: int, value: dict[str, Any]) -> None:
        self._send(status, _dump(value), "application/json; charset=utf-8")

    def _send(self, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": content_type, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _client_gone(self) -> bool:
        """Tells whether the client has closed its side, as Go's server notices it."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        try:
            return bool(poll.poll(0)) and self.connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
