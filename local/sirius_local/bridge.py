"""Starts and stops the model bridge: Ollama's API over a very small model, for machines without Ollama."""

import os
import subprocess
import time
from pathlib import Path

from ollama_bridge.install import STAMP
from ollama_bridge.install import install as make_venv
from ollama_bridge.names import MODEL_NAME

from . import lock
from .console import Failure, step
from .daemon import Daemon
from .paths import BRIDGE, TOOLS, StateDirectory

MODEL = MODEL_NAME
_VENV = TOOLS / "llm-venv"
_START_SECONDS = 60.0


def daemon(state: StateDirectory) -> Daemon:
    """Returns the daemon of this state directory's bridge."""
    return Daemon(state.bridge, state.bridge_alive, state.bridge_log)


def running(state: StateDirectory) -> str | None:
    """Returns the URL of this state directory's bridge, if it is alive."""
    if daemon(state).running() is None:
        return None
    try:
        return state.bridge_url.read_text().strip()
    except OSError:
        return None


def start(state: StateDirectory) -> str:
    """Installs the bridge if need be, starts it on a free port and returns its URL."""
    python = install()
    stop(state)  # what a bridge that died has left behind
    state.path.mkdir(parents=True, exist_ok=True)
    traces = daemon(state)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    # The bridge binds the port itself and then writes the file: once it is there, the port is the bridge's.
    command = [str(python), str(BRIDGE), "--port", "0", "--port-file", str(state.bridge_url)]
    process = traces.start(command, state.path, environment)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        url = running(state)
        if url:
            return url
        if process.poll() is not None:
            raise Failure(f"the model bridge ended at once; its log:\n\n{traces.log_tail()}")
        time.sleep(0.05)
    stop(state)
    raise Failure(f"the model bridge did not start within {_START_SECONDS:.0f} s; its log ends:\n\n{traces.log_tail()}")


def stop(state: StateDirectory) -> bool:
    """Ends the bridge and its model; false if it was not running."""
    ended = daemon(state).stop()
    state.bridge_url.unlink(missing_ok=True)
    return ended


def install() -> Path:
    """Makes the bridge's venv, unless it is there, and returns its Python."""
    with lock.hold(TOOLS / "llm.lock"):  # two `make` at once: the second waits for the first
        if not (_VENV / STAMP).exists():
            step(f"installing the model bridge and its model from {_requirements()} (once)")
        try:
            return make_venv(_VENV)
        except (OSError, subprocess.CalledProcessError) as error:
            reason = error if isinstance(error, OSError) else "see above"
            raise Failure(
                f"the model bridge could not be installed: {reason}\n"
                "       It needs the network once, and a platform that xllamacpp has a wheel for (Linux x86-64)."
            ) from error


def _requirements() -> Path:
    return BRIDGE.relative_to(TOOLS.parent) / "requirements.txt"
