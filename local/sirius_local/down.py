"""Takes a stack down."""

from . import bridge, serve
from .paths import StateDirectory


def down(state: StateDirectory) -> bool:
    """Ends what `up` has started; false if there was nothing to end."""
    served = serve.stop(state)  # first, so that no function is left waiting for the model
    explained = bridge.stop(state)
    return served or explained
