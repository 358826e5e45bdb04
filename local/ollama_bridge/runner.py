"""The parent's side of one llama.cpp child process: start, call, stream, end."""

import http.client
import json
import secrets
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .child_log import ChildLog
from .errors import RUNNER_STOPPED, ApiError, ClientGone

LOAD_TIMEOUT = 300.0  # seconds, as OLLAMA_LOAD_TIMEOUT
CALL_TIMEOUT = 30.0  # seconds of silence: the child pings every second while it works
MAX_LINE = 4 << 20

Events = Generator[dict[str, Any], None, None]


@dataclass(frozen=True)
class Launch:
    """What the child is started with: a request that differs forces a reload."""

    num_ctx: int
    shift: bool


class Runner:
    """A loaded model. Not shared: the scheduler gives it to one request at a time."""

    def __init__(self, model_path: Path, launch: Launch, threads: int, gone: Callable[[], bool]) -> None:
        self.launch = launch
        self._key = secrets.token_hex(16)
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("llama_child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches the bridge only, which ends the child itself
        )
        config = {
            "model_path": str(model_path),
            "num_ctx": launch.num_ctx,
            "shift": launch.shift,
            "threads": threads,
            "api_key": self._key,
        }
        assert self._process.stderr is not None
        self._log = ChildLog(self._process.stderr)
        try:
            self._stdin.write(json.dumps(config).encode() + b"\n")
            self._stdin.flush()
            self._address = self._await_ready(gone)
        except BaseException as error:
            self.stop()
            if isinstance(error, OSError):
                raise ApiError(500, RUNNER_STOPPED) from error
            raise

    def alive(self) -> bool:
        """Tells whether the child still runs."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Ends the child: this is what unloading a model means here."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                pass  # an unflushed line to a dead child

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Makes one short call: template or tokens."""
        connection, response = self._send(path, body)
        try:
            answer: dict[str, Any] = json.loads(response.read())
            return answer
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiError(500, RUNNER_STOPPED) from error
        finally:
            response.close()
            connection.close()

    def complete(self, body: dict[str, Any], gone: Callable[[], bool], deadline: float) -> Events:
        """Streams a completion's events; closing the iterator cancels it in llama.cpp."""
        self._log.forget_grammar_error()
        connection, response = self._send("/completion", {**body, "stream": True})
        try:
            while line := response.readline(MAX_LINE):
                if gone():
                    raise ClientGone
                if time.monotonic() > deadline:
                    raise ApiError(500, "the bridge's time limit for one request was reached")
                if not line.startswith(b"data: "):
                    continue  # a ping, or the empty line between two events
                event = json.loads(line[6:])
                if "error" in event:
                    raise ApiError(500, str(event["error"].get("message", event["error"])))
                if "json_schema" in body and (problem := self._log.grammar_error()):
                    raise ApiError(400, f"invalid JSON schema in format: {problem}")
                yield event
                if event.get("stop"):
                    return
            raise ApiError(500, RUNNER_STOPPED)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ApiError(500, RUNNER_STOPPED) from error
        finally:
            response.close()
            connection.close()

    @property
    def _stdin(self) -> Any:
        return self._process.stdin

    def _send(self, path: str, body: dict[str, Any]) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(*self._address, timeout=CALL_TIMEOUT)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._key}"}
        try:
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            if response.status >= 400:
                # As Ollama: llama.cpp's status and body go to the client as they are.
                raise ApiError(response.status, response.read(MAX_LINE).decode("utf-8", "replace").strip())
            return connection, response
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ApiError(500, RUNNER_STOPPED) from error
        except ApiError:
            connection.close()
            raise

    def _await_ready(self, gone: Callable[[], bool]) -> tuple[str, int]:
        stdout: Any = self._process.stdout
        limit = time.monotonic() + LOAD_TIMEOUT
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while not selector.select(timeout=0.1):
                if gone():
                    raise ClientGone  # as Ollama: a client's timeout aborts the load
                if time.monotonic() > limit:
                    raise ApiError(500, "timed out waiting for the model runner to start")
        line = stdout.readline()
        if not line:
            raise ApiError(500, RUNNER_STOPPED)
        url = urlsplit(json.loads(line)["url"])
        return url.hostname or "127.0.0.1", url.port or 0
