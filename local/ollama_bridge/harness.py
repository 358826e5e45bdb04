"""Starts the bridge as a process of its own and talks to it over plain HTTP, for the tests."""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
MODEL = "smollm2:135m"
# A model may end free text whenever it likes; it may not end this.
ENDLESS = {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 99}, "minItems": 3000}
PATIENCE = 120.0  # seconds: the machine may be busy compiling Rust


@dataclass(frozen=True)
class Reply:
    """One whole HTTP answer."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def json(self) -> Any:
        """The body, if it is one JSON value."""
        return json.loads(self.text)

    @property
    def lines(self) -> list[Any]:
        """The body, if it is NDJSON."""
        return [json.loads(line) for line in self.text.splitlines()]


class BridgeProcess:
    """A running bridge with its own model."""

    def __init__(self, *flags: str) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self.port_file = Path(self._directory.name) / "url"
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by stop)
        self.process = subprocess.Popen(
            [sys.executable, str(HERE), "--port-file", str(self.port_file), *flags], stderr=self.log
        )
        wait_until(lambda: self.port_file.exists() or self.process.poll() is not None)
        if self.process.poll() is not None:
            self.log.seek(0)
            reason = self.log.read()
            self.stop()
            raise RuntimeError(f"the bridge did not start: {reason}")
        self.address = str(urlsplit(self.port_file.read_text().strip()).netloc)

    def call(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        """Sends one request on a connection of its own."""
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def post(self, path: str, **fields: Any) -> Reply:
        """Posts a JSON object."""
        return self.call("POST", path, json.dumps(fields).encode())

    def chat(self, text: str = "Say hello.", **fields: Any) -> Reply:
        """Returns a short chat, unless `fields` say otherwise."""
        return self.post("/api/chat", **chat_fields(text, **fields))

    @contextmanager
    def started_stream(self, **fields: Any) -> Iterator[http.client.HTTPResponse]:
        """Returns a chat of which the first line has arrived; left, it is disconnected."""
        connection = self.connect()
        fields = {"options": {"num_predict": 3000, "num_ctx": 8192}, "format": ENDLESS, **fields}
        connection.request("POST", "/api/chat", json.dumps(chat_fields("Count up from one.", **fields)))
        response = connection.getresponse()
        try:
            response.readline()
            yield response
        finally:
            response.close()
            connection.close()

    def connect(self) -> http.client.HTTPConnection:
        """Returns a connection, not yet open."""
        return http.client.HTTPConnection(self.address, timeout=PATIENCE)

    def loaded(self) -> list[dict[str, Any]]:
        """Returns the models of /api/ps."""
        models: list[dict[str, Any]] = self.call("GET", "/api/ps").json["models"]
        return models

    def children(self) -> list[int]:
        """Returns the process ids of the bridge's llama.cpp children (Linux)."""
        return [pid for pid in process_ids() if (status := status_of(pid)) and status[1] == str(self.process.pid)]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends the bridge and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self.log.close()
        self._directory.cleanup()
        return status


def chat_fields(text: str, **fields: Any) -> dict[str, Any]:
    """Returns the body of a chat request, small and repeatable by default."""
    defaults = {"model": MODEL, "messages": [{"role": "user", "content": text}], "options": {"num_predict": 8}}
    return {**defaults, **fields}


def wait_until(condition: Callable[[], bool]) -> None:
    """Polls for what has no event to wait on: another process's state."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError("waited in vain")
        time.sleep(0.02)


def process_ids() -> list[int]:
    """Lists all processes (Linux)."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def status_of(pid: int) -> list[str]:
    """Returns state, parent and so on of a process, as in proc(5) from the third field; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def running(pid: int) -> bool:
    """Tells whether a process exists and is no zombie (Linux)."""
    status = status_of(pid)
    return bool(status) and status[0] != "Z"


def kill(pid: int) -> None:
    """Kills a process as the kernel does when memory is short."""
    os.kill(pid, signal.SIGKILL)
