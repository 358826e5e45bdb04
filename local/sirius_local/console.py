"""Prints progress to stderr: stdout belongs to the commands that are run."""

import os
import sys
import time

# The environment carries the start over the move into the venv (see install.continue_inside).
_STARTED = float(os.environ.setdefault("SIRIUS_LOCAL_STARTED", str(time.time())))


class Failure(Exception):
    """An error that the user can act on; shown without a traceback."""


def step(text: str) -> None:
    """Prints a step with the time since the start."""
    print(f"[{time.time() - _STARTED:5.1f}s] {text}", file=sys.stderr, flush=True)


def fail(failure: Failure) -> None:
    """Prints a failure."""
    print(f"\nerror: {failure}", file=sys.stderr, flush=True)
