"""Starts and stops the one process that plays AWS."""

import os
import secrets
import shutil
import socket
import sys
import time
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import private
from .console import Failure, step
from .daemon import Daemon
from .gate import SECRET_HEADER
from .paths import StateDirectory

REGION = "us-east-1"
_START_SECONDS = 60.0
_ATTEMPTS = 3
# Where programs are, how text is written, and what a developer sets to see more of a function.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "RUST_BACKTRACE", "RUST_LOG", "NO_PROXY", "no_proxy")
_PROGRAM = Path(__file__).with_name("aws_process.py")


@dataclass(frozen=True)
class Server:
    """A running server."""

    pid: int
    port: int
    access_key_id: str
    """Keys of the emulated account's root; readers of the state directory know them."""
    secret_access_key: str

    @property
    def endpoint(self) -> str:
        """The base URL of every AWS service."""
        return f"http://127.0.0.1:{self.port}"

    def curl_configuration(self) -> str:
        """Options that make curl sign its requests to an API of this server."""
        user = f"{self.access_key_id}:{self.secret_access_key}"
        return f'aws-sigv4 = "aws:amz:{REGION}:execute-api"\nuser = "{user}"\n'

    def environment(self) -> dict[str, str]:
        """Variables that point an AWS client at this server only."""
        return {
            **_place(self.port),
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }

    def client(self, service: str, config: Any = None) -> Any:
        """Returns a boto3 client of a service, whatever the shell says."""
        import boto3  # here, for `down` runs without the venv

        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=config,
        )


def _place(port: int) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}


def daemon(state: StateDirectory) -> Daemon:
    """Returns the daemon of this state directory's server."""
    return Daemon(state.server, state.alive, state.log)


def running(state: StateDirectory) -> Server | None:
    """Returns the server of this state directory, if it is alive."""
    recorded = daemon(state).running()
    try:
        keys = (state.access_key.read_text().strip(), state.secret_key.read_text().strip())
        return None if recorded is None else Server(recorded["pid"], recorded["port"], *keys)
    except (KeyError, OSError):
        return None


def start(state: StateDirectory) -> Server:
    """Starts a server on a free port and waits until it answers."""
    for attempt in range(1, _ATTEMPTS + 1):
        server = _start_on(state, _free_port())
        if server is not None:
            return server
        step(f"its port was taken meanwhile, trying again ({attempt} of {_ATTEMPTS})")
    raise Failure(f"ministack found no free port; its log ends:\n\n{daemon(state).log_tail()}")


def stop(state: StateDirectory) -> bool:
    """Ends the server and its functions; false if it was not running."""
    # The server leads its own process group, and the functions it has started are in it.
    ended = daemon(state).stop()
    written = (state.deployed, state.api_url, state.curl, state.env, state.functions_env, state.origins)
    for file in (*written, state.access_key, state.secret_key):
        file.unlink(missing_ok=True)
    shutil.rmtree(state.temporary, ignore_errors=True)
    return ended


def forget_code(state: StateDirectory, keep: set[str]) -> None:
    """Removes unpacked functions from the server's disk, but for packages with these SHA-256 sums."""
    for unpacked in state.temporary.glob("ministack-provided-code-*/*"):
        if unpacked.name not in keep:
            shutil.rmtree(unpacked, ignore_errors=True)


def _start_on(state: StateDirectory, port: int) -> Server | None:
    """Starts the server once; None if another process took the port first."""
    state.temporary.mkdir(parents=True, exist_ok=True)
    traces = daemon(state)
    keys = ("LOCAL" + secrets.token_hex(16).upper(), secrets.token_urlsafe(32))
    private.write(state.access_key, keys[0] + "\n")
    private.write(state.secret_key, keys[1] + "\n")
    # Isolated: nothing of the directory or of PYTHON* reaches it, and output is not held back.
    command = [sys.executable, "-I", "-u", str(_PROGRAM), str(state.access_key), str(state.secret_key), str(state.origins)]
    process = traces.start(command, state.temporary, _server_environment(state, port), port=port)
    server = Server(process.pid, port, *keys)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            if "already in use" in traces.log_tail():
                return None
            raise Failure(f"ministack ended at once; its log:\n\n{traces.log_tail()}")
        # "Running on" is printed once the port is ours; asking the port alone might reach a stranger.
        if "Running on" in traces.log_tail() and _answers(server):
            return server
        time.sleep(0.05)
    stop(state)
    raise Failure(f"ministack did not answer within {_START_SECONDS:.0f} s; its log ends:\n\n{traces.log_tail()}")


def _server_environment(state: StateDirectory, port: int) -> dict[str, str]:
    """Returns the server's environment, which its functions inherit: no key is in it."""
    return {
        **inherited(os.environ),
        **_place(port),
        "HOME": str(state.temporary),  # ministack would look for the developer's ~/.aws
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "BIND_HOST": "127.0.0.1",  # the default is every interface
        "IOT_MTLS_ENABLED": "0",  # or port 8883 is opened on every interface
        "AUTH": "true",  # the policies in template.yaml are enforced
        "AWS_LAMBDA_LOG_FORMAT": "JSON",  # as Lambda sets it for LogFormat: JSON
        "TMPDIR": str(state.temporary),
    }


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Selects the shell's variables for the server and its functions: never a token or a key."""
    return {name: value for name, value in environment.items() if name in _INHERITED}


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _answers(server: Server) -> bool:
    health = urllib.request.Request(f"{server.endpoint}/_ministack/health", headers={SECRET_HEADER: server.access_key_id})
    try:
        with urllib.request.urlopen(health, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
