"""Schedules the model: one request at a time, a bounded queue, and how long it stays loaded."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .errors import BUSY, RUNNER_STOPPED, ApiError, ClientGone
from .runner import Launch, Runner

_POLL = 0.25  # seconds between looks at a waiting client's connection


@dataclass(frozen=True)
class Lease:
    """The model, for one request."""

    runner: Runner
    load_ns: int


@dataclass(frozen=True)
class Loaded:
    """What `/api/ps` shows of a loaded model."""

    num_ctx: int
    expires_in: float  # seconds; infinite for a negative keep_alive


class Scheduler:
    """Owns the only runner. `start` makes a new one for a launch configuration."""

    def __init__(self, start: Callable[[Launch, Callable[[], bool]], Runner], max_queue: int) -> None:
        self._start = start
        self._max_queue = max_queue
        self._changed = threading.Condition()
        self._line: deque[object] = deque()  # its head has the model, the others wait
        self._runner: Runner | None = None
        self._expires = 0.0
        self._unload_when_idle = False
        self._closed = False
        threading.Thread(target=self._expire, daemon=True).start()

    @contextmanager
    def lease(self, launch: Launch, keep_alive: float, gone: Callable[[], bool], deadline: float) -> Iterator[Lease]:
        """Waits for the model, loads it if needed, and starts its keep_alive when the request ends."""
        ticket = object()
        try:
            self._wait_for_turn(ticket, gone, deadline)
            started = time.monotonic_ns()
            runner = self._runner_for(launch, gone)
            yield Lease(runner, time.monotonic_ns() - started)
        finally:
            self._leave(ticket, keep_alive)

    def unload(self) -> None:
        """Ends the child now, or when the requests that have or await the model are done."""
        with self._changed:
            if self._line:
                self._unload_when_idle = True
            else:
                self._stop_runner()

    def loaded(self) -> Loaded | None:
        """Returns the loaded model, if there is one."""
        with self._changed:
            if self._runner is None or not self._runner.alive():
                return None
            return Loaded(self._runner.launch.num_ctx, max(self._expires - time.monotonic(), 0.0))

    def close(self) -> None:
        """Ends the child at once: running requests fail, new ones are refused."""
        with self._changed:
            self._closed = True
            self._stop_runner()
            self._changed.notify_all()

    def _wait_for_turn(self, ticket: object, gone: Callable[[], bool], deadline: float) -> None:
        with self._changed:
            if len(self._line) > self._max_queue:  # the head is not queued
                raise ApiError(503, BUSY)
            self._line.append(ticket)
            while not self._closed and self._line[0] is not ticket:
                self._changed.wait(_POLL)
                if gone():
                    raise ClientGone
                if time.monotonic() > deadline:
                    raise ApiError(503, BUSY)
            if self._closed:
                raise ApiError(503, BUSY)

    def _leave(self, ticket: object, keep_alive: float) -> None:
        with self._changed:
            if ticket not in self._line:
                return  # refused at the door
            had_turn = self._line[0] is ticket
            self._line.remove(ticket)
            if had_turn:
                self._expires = time.monotonic() + keep_alive
            if not self._line and (self._unload_when_idle or (had_turn and keep_alive == 0)):
                self._stop_runner()
            self._changed.notify_all()

    def _runner_for(self, launch: Launch, gone: Callable[[], bool]) -> Runner:
        """Loads the model for the head of the line, outside the lock: loading takes seconds."""
        runner = self._runner
        if runner is not None and runner.launch == launch and runner.alive():
            return runner
        with self._changed:
            self._stop_runner()
        runner = self._start(launch, gone)
        with self._changed:
            if self._closed:
                runner.stop()
                raise ApiError(500, RUNNER_STOPPED)
            self._runner = runner
            self._expires = float("inf")  # until the request ends
        return runner

    def _stop_runner(self) -> None:
        self._unload_when_idle = False
        if self._runner is not None:
            self._runner.stop()
            self._runner = None

    def _expire(self) -> None:
        with self._changed:
            while not self._closed:
                remaining = self._expires - time.monotonic()
                if self._runner is None or self._line:
                    self._changed.wait()
                elif remaining <= 0:
                    self._stop_runner()
                else:
                    self._changed.wait(min(remaining, 3600.0))
