"""The two ways a request can end early."""

BUSY = "server busy, please try again.  maximum pending requests exceeded"
RUNNER_STOPPED = (
    "model runner has unexpectedly stopped, this may be due to resource "
    "limitations or an internal error, check the bridge's log for details"
)


class ApiError(Exception):
    """An answer with a status and Ollama's `{"error": …}` body."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class ClientGone(Exception):
    """The client closed its connection."""
