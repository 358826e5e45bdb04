"""What the person at the terminal reads. It all goes to stderr: stdout belongs to the commands we run."""

import os
import sys
import time

# The environment carries the start over the move into the venv (see install.continue_inside).
_STARTED = float(os.environ.setdefault("SIRIUS_LOCAL_STARTED", str(time.time())))


class Failure(Exception):
    """Something the person at the terminal can act on; shown without a traceback."""


def step(text: str) -> None:
    """Says what happens now, and how long it took to get here."""
    print(f"[{time.time() - _STARTED:5.1f}s] {text}", file=sys.stderr, flush=True)


def fail(failure: Failure) -> None:
    """Says why it ends here."""
    print(f"\nerror: {failure}", file=sys.stderr, flush=True)
