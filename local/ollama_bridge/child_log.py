"""The llama.cpp child's standard error: copied to ours, searched for one message.

xllamacpp compiles JSON schemas with LLGuidance. A schema it cannot compile is
an error in this log only: the completion answers 200 with *unconstrained*
text. llama.cpp alone would have answered 400, so the bridge looks here.
"""

import os
import selectors
import sys
import threading
from typing import IO

_GRAMMAR_ERROR = "llg error: "


class ChildLog:
    """Reads one pipe to its end, in the background and whenever asked."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self._partial = b""
        self._grammar_error: str | None = None
        os.set_blocking(pipe.fileno(), False)
        threading.Thread(target=self._follow, daemon=True).start()

    def forget_grammar_error(self) -> None:
        """Notes that a completion starts."""
        with self._lock:
            self._grammar_error = None

    def grammar_error(self) -> str | None:
        """Returns llama.cpp's words about the running completion's schema, up to this moment."""
        self._read_waiting()
        return self._grammar_error

    def _follow(self) -> None:
        with self._pipe, selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            while not self._read_waiting():
                selector.select()

    def _read_waiting(self) -> bool:
        """Takes what is there now; true at the end of the log."""
        with self._lock:
            while not self._pipe.closed:
                try:
                    data = os.read(self._pipe.fileno(), 1 << 16)
                except BlockingIOError:
                    return False
                if not data:
                    return True
                *lines, self._partial = (self._partial + data).split(b"\n")
                for line in lines:
                    self._note(line.decode("utf-8", "replace"))
            return True

    def _note(self, line: str) -> None:
        _, found, message = line.partition(_GRAMMAR_ERROR)
        if found and self._grammar_error is None:
            self._grammar_error = message
        print(f"llama.cpp: {line}", file=sys.stderr, flush=True)
