"""Starts and stops the one process that plays AWS."""

import os
import shutil
import socket
import sys
import time
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from .console import Failure, step
from .daemon import Daemon
from .paths import StateDirectory

REGION = "us-east-1"
_START_SECONDS = 60.0
_ATTEMPTS = 3
_PROGRAM = Path(__file__).with_name("aws_process.py")


@dataclass(frozen=True)
class Server:
    """A running server."""

    pid: int
    port: int

    @property
    def endpoint(self) -> str:
        """The base URL of every AWS service."""
        return f"http://127.0.0.1:{self.port}"

    def curl_configuration(self) -> str:
        """What makes curl sign its requests to an API of this server."""
        variables = self.environment()
        user = f"{variables['AWS_ACCESS_KEY_ID']}:{variables['AWS_SECRET_ACCESS_KEY']}"
        return f'aws-sigv4 = "aws:amz:{REGION}:execute-api"\nuser = "{user}"\n'

    def environment(self) -> dict[str, str]:
        """What points an AWS client at this server and nowhere else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }


def daemon(state: StateDirectory) -> Daemon:
    """Where the server of this state directory leaves its traces."""
    return Daemon(state.server, state.alive, state.log)


def running(state: StateDirectory) -> Server | None:
    """The server of this state directory, if it is alive."""
    recorded = daemon(state).running()
    try:
        return None if recorded is None else Server(**recorded)
    except TypeError:
        return None


def start(state: StateDirectory) -> Server:
    """Starts a server on a free port and waits until it answers."""
    for attempt in range(1, _ATTEMPTS + 1):
        server = _start_on(state, _free_port())
        if server is not None:
            return server
        step(f"its port was taken meanwhile, trying another one ({attempt} of {_ATTEMPTS})")
    raise Failure(f"ministack found no free port; its log ends:\n\n{daemon(state).log_tail()}")


def stop(state: StateDirectory) -> bool:
    """Ends the server and the functions it runs; false if there was nothing to end."""
    # The server leads its own process group, and the functions it has started are in it.
    ended = daemon(state).stop()
    for file in (state.deployed, state.api_url, state.curl, state.env, state.functions_env):
        file.unlink(missing_ok=True)
    shutil.rmtree(state.temporary, ignore_errors=True)
    return ended


def forget_code(state: StateDirectory, keep: set[str]) -> None:
    """Removes unpacked functions from the server's disk, but for packages with these SHA-256 sums."""
    for unpacked in state.temporary.glob("ministack-provided-code-*/*"):
        if unpacked.name not in keep:
            shutil.rmtree(unpacked, ignore_errors=True)


def _start_on(state: StateDirectory, port: int) -> Server | None:
    """One attempt; None if somebody else took the port first."""
    state.temporary.mkdir(parents=True, exist_ok=True)
    traces = daemon(state)
    # Isolated: nothing of the directory or of PYTHON* reaches it, and output is not held back.
    command = [sys.executable, "-I", "-u", str(_PROGRAM)]
    process = traces.start(command, state.temporary, _server_environment(state, port), port=port)
    server = Server(process.pid, port)
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
    """The server's environment, which the functions it starts inherit."""
    # Nothing of the developer's real AWS account may reach a function, and of Ollama only what is deployed.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OLLAMA_"))}
    return {
        **inherited,
        **Server(0, port).environment(),
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "BIND_HOST": "127.0.0.1",  # the default is every interface
        "IOT_MTLS_ENABLED": "0",  # or port 8883 is opened on every interface
        "AUTH": "true",  # the policies in template.yaml are enforced
        "AWS_LAMBDA_LOG_FORMAT": "JSON",  # as Lambda sets it for LogFormat: JSON
        "TMPDIR": str(state.temporary),
    }


def _free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _answers(server: Server) -> bool:
    try:
        with urllib.request.urlopen(f"{server.endpoint}/_ministack/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
