"""Tests which requests the gate before the emulated AWS lets through."""

import asyncio
import http.client
import http.server
import json
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any

from sirius_local import gate, serve
from sirius_local.gate import SECRET_HEADER, Gate, Request

SECRET = "LOCAL0123456789ABCDEF"
USER = "AKIAIOSFODNN7EXAMPLE"


def request(
    path: str = "/", key: str = SECRET, is_of_api: bool = False, host: str = "127.0.0.1:4566", **headers: str
) -> Request:
    named = [("host", host), *((name.replace("_", "-"), value) for name, value in headers.items())]
    return Request(path, named, key, is_of_api)


class WhoPasses(unittest.TestCase):
    """The rules."""

    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        origins = Path(self.folder.name) / "origins"
        origins.write_text(json.dumps(["https://ui.example"]))
        self.gate = Gate(SECRET, origins)

    def assert_passes(self, request: Request) -> None:
        self.assertIsNone(self.gate.refusal(request), request)

    def assert_refused(self, request: Request) -> None:
        self.assertIsNotNone(self.gate.refusal(request), request)

    def test_only_a_loopback_name_is_a_host(self) -> None:
        for host in ("127.0.0.1:1", "localhost", "localhost:65535", "[::1]:80"):
            self.assert_passes(request(host=host))
        hosts = ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:4566", "x.localhost", "0.0.0.0", "")
        for host in hosts:
            self.assert_refused(request(host=host))

    def test_a_page_passes_from_an_allowed_origin_only_even_with_the_secret(self) -> None:
        api = "/_aws/execute-api/a/$default/api/container/scans"
        self.assert_passes(request(api, is_of_api=True, origin="https://ui.example", sec_fetch_site="cross-site"))
        self.assert_passes(request(origin="http://127.0.0.1:4566", sec_fetch_site="same-origin"))
        self.assert_passes(request(sec_fetch_site="none"))
        for origin in ("https://evil.example", "null", "http://127.0.0.1:9999", "https://ui.example.evil.example", ""):
            self.assert_refused(request(api, is_of_api=True, origin=origin))
        for site in ("cross-site", "same-site", "anything"):
            self.assert_refused(request(api, is_of_api=True, sec_fetch_site=site))

    def test_what_is_no_route_of_the_api_wants_the_secret_or_the_key_of_a_user(self) -> None:
        for path in ("/", "/bucket/key", "/_ministack/reset", "/_ministack/config", "/_localstack/health", "/health"):
            self.assert_passes(request(path, key=SECRET))
            self.assert_passes(request(path, key="", x_sirius_secret=SECRET))
            self.assert_refused(request(path, key=""))
            self.assert_refused(request(path, key="", x_sirius_secret="LOCAL"))
        self.assert_passes(request("/bucket/key", key=USER))
        self.assert_refused(request("/_ministack/reset", key=USER))

    def test_a_key_that_everybody_knows_is_refused_everywhere(self) -> None:
        for key in ("test", "000000000000", "123456789012"):
            for path, is_of_api in (("/", False), ("/_aws/execute-api/a/$default/x", True)):
                self.assert_refused(request(path, key=key, is_of_api=is_of_api))

    def test_a_route_of_the_api_is_left_to_its_authoriser(self) -> None:
        self.assert_passes(request("/_aws/execute-api/a/$default/x", key="", is_of_api=True))
        self.assert_refused(request("/_aws/execute-api/a/$default/x", key="", is_of_api=True, x_amz_target="DynamoDB.X"))

    def test_a_header_that_decides_comes_once(self) -> None:
        for name in ("host", "origin", "authorization", SECRET_HEADER):
            self.assert_refused(Request("/", [("host", "localhost"), (name, "localhost"), (name, "x")], SECRET, False))

    def test_without_a_list_no_origin_is_allowed(self) -> None:
        self.gate.origins.write_text("{}")
        self.assert_refused(request(origin="https://ui.example"))
        self.gate.origins.unlink()
        self.assert_refused(request(origin="https://ui.example"))


class Guarding(unittest.TestCase):
    """The rules before an application and before other servers of the process."""

    def test_what_is_refused_never_reaches_the_application(self) -> None:
        reached: list[str] = []
        sent: list[dict[str, Any]] = []

        async def application(scope: gate.Scope, receive: Any, send: Any) -> None:
            reached.append(scope["type"])

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        async def receive() -> dict[str, Any]:
            return {}

        key = ""
        guarded = gate.guard(application, Gate(SECRET, Path("/nowhere")), lambda _: request(key=key))
        for kind in ("lifespan", "http", "websocket"):
            asyncio.run(guarded({"type": kind}, receive, send))
        self.assertEqual(reached, ["lifespan"])
        self.assertEqual([message.get("status", message.get("code")) for message in sent], [403, None, 1008])
        key = SECRET
        asyncio.run(guarded({"type": "http"}, receive, send))
        self.assertEqual(reached, ["lifespan", "http"])

    def test_a_page_takes_no_event_from_a_function(self) -> None:
        gate.guard_runtime_apis()

        class Events(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Events) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            host, port = f"127.0.0.1:{server.server_port}", server.server_port
            cases = [
                ({"Host": host}, 200),
                ({"Host": "evil.example"}, 403),
                ({"Host": host, "Origin": "https://evil.example"}, 403),
                ({"Host": host, "Sec-Fetch-Site": "cross-site"}, 403),
            ]
            for headers, expected in cases:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/2018-06-01/runtime/invocation/next", headers=headers)
                self.assertEqual(connection.getresponse().status, expected, headers)
                connection.close()
            server.shutdown()


class Inheriting(unittest.TestCase):
    """The environment of the server and its functions."""

    def test_only_what_is_listed_is_inherited(self) -> None:
        shell = {
            "PATH": "/bin", "LANG": "C.UTF-8", "RUST_LOG": "debug",
            "AWS_SECRET_ACCESS_KEY": "s", "OLLAMA_URL": "u", "GITHUB_TOKEN": "t", "LD_PRELOAD": "x", "HTTPS_PROXY": "p",
        }  # fmt: skip
        self.assertEqual(serve.inherited(shell), {"PATH": "/bin", "LANG": "C.UTF-8", "RUST_LOG": "debug"})


if __name__ == "__main__":
    unittest.main()
