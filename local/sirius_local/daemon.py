"""Processes that outlive the command which started them.

A process id alone says little: the process may be gone and its number reused. So a
daemon inherits the lock on a file when it is started, and holds it for as long as it lives. Only while
that lock is held is the recorded process id believed.
"""

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import lock

_STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Daemon:
    """The files of a daemon."""

    record: Path
    alive: Path
    log: Path

    def running(self) -> dict[str, Any] | None:
        """Reads the record of the daemon, if it is alive."""
        if not lock.is_held(self.alive):
            return None
        try:
            recorded = json.loads(self.record.read_text())
        except (OSError, ValueError):
            return None
        return recorded if isinstance(recorded, dict) and "pid" in recorded else None

    def start(
        self, command: list[str], directory: Path, environment: dict[str, str], **record: Any
    ) -> subprocess.Popen[bytes]:
        """Starts the daemon and records its process id and whatever else shall be known of it."""
        with lock.hold(self.alive) as alive, open(self.log, "w") as log:
            process = subprocess.Popen(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # outlives make, and Ctrl-C is not for it
                pass_fds=[alive.fileno()],
            )
        self.record.write_text(json.dumps({"pid": process.pid, **record}))
        return process

    def stop(self) -> bool:
        """Ends the daemon and its process group; false if it was not running."""
        running = self.running()
        if running is not None:
            _end_group(running["pid"], signal.SIGTERM)
            deadline = time.monotonic() + _STOP_SECONDS
            while lock.is_held(self.alive) and time.monotonic() < deadline:
                time.sleep(0.02)
            _end_group(running["pid"], signal.SIGKILL)
        self.record.unlink(missing_ok=True)
        return running is not None

    def log_tail(self, lines: int = 25) -> str:
        """Reads the end of the daemon's output."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return f"(no log at {self.log})"


def _end_group(leader: int, how: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, how)
