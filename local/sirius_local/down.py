"""Stops a stack."""

from . import bridge, serve
from .paths import StateDirectory


def down(state: StateDirectory) -> bool:
    """Stops the stack; false if nothing was running."""
    served = serve.stop(state)  # first, so that no function is left waiting for the model
    explained = bridge.stop(state)
    return served or explained
