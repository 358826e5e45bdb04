"""Runs one command against a stack of its own, and takes the stack down whatever happens."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from . import bridge, lock, logs, serve, up
from .console import Failure, step
from .down import down
from .model import Wish
from .paths import LOGS_OF_LAST_FAILED_RUN, RUNS, StateDirectory

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 10.0


def run(program: list[str], parameters: dict[str, str], wish: Wish) -> int:
    """Runs the program with the stack in its environment; returns its exit code."""
    program = program[1:] if program[:1] == ["--"] else program
    if not program:
        raise Failure("run needs a command: run -- cargo test")
    for number in _SIGNALS:
        signal.signal(number, _exit_on_signal)
    with _own_state() as state:
        stack = up.up(state, parameters, wish)
        step(f"running {' '.join(program)}")
        status = _call(program, {**os.environ, **stack.environment()})
        if status != 0:
            _keep_logs(state, stack)
        return status


@contextmanager
def _own_state() -> Iterator[StateDirectory]:
    """Makes a state directory for this process, and stops its stack at the end."""
    with ExitStack() as until_the_end:
        with lock.hold(RUNS / "changing.lock"):
            _remove_orphans()
            state = StateDirectory(Path(tempfile.mkdtemp(prefix="run-", dir=RUNS)))
            until_the_end.enter_context(lock.hold(state.owner))
        try:
            yield state
        finally:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            _remove(state)


def _remove_orphans() -> None:
    """Ends the stacks of runs that were killed."""
    for path in RUNS.glob("run-*"):
        if not lock.is_held(StateDirectory(path).owner):
            _remove(StateDirectory(path))


def _remove(state: StateDirectory) -> None:
    down(state)
    shutil.rmtree(state.path, ignore_errors=True)


def _exit_on_signal(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _call(program: list[str], environment: dict[str, str]) -> int:
    # Away from a terminal the program gets a session of its own, so that its children end with it.
    # At a terminal it stays in ours: it may read the keyboard, and Ctrl-C reaches all of it anyway.
    own_session = not sys.stdin.isatty()
    try:
        child = subprocess.Popen(program, env=environment, start_new_session=own_session)
    except OSError as error:
        raise Failure(f"cannot run {program[0]}: {error.strerror}") from error
    try:
        status = child.wait()
    except SystemExit:
        _end(child, own_session)
        raise
    return status if status >= 0 else 128 - status


def _end(child: subprocess.Popen[bytes], own_session: bool) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, how) if own_session else child.send_signal(how)
            child.wait(timeout=_PATIENCE)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _keep_logs(state: StateDirectory, stack: up.Stack) -> None:
    """Saves the logs before the stack that holds them is gone."""
    sections = {
        "functions": "\n".join(logs.tail(stack.server, stack.deployment.log_group, 10_000)),
        "ministack": serve.daemon(state).log_tail(1000),
        "model bridge": bridge.daemon(state).log_tail(1000),
    }
    LOGS_OF_LAST_FAILED_RUN.parent.mkdir(exist_ok=True)
    LOGS_OF_LAST_FAILED_RUN.write_text("".join(f"--- {name} ---\n{text}\n" for name, text in sections.items()))
    step(f"it failed; what the stack has logged is in {LOGS_OF_LAST_FAILED_RUN}")
