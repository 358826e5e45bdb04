"""Asks the API of a running stack."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from . import logs
from .console import Failure
from .up import Stack


@dataclass(frozen=True)
class Answer:
    """What the API said."""

    status: int
    json: Any


def ask(stack: Stack, method: str, path: str, body: bytes | None = None) -> Answer:
    """One request; anything but success is a failure that shows what the functions have logged."""
    request = urllib.request.Request(stack.deployment.api_url + path, data=body, method=method)
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, json.load(answer))
    except urllib.error.HTTPError as error:
        reason = f"answered {error.code}: {error.read().decode(errors='replace')}"
    except (OSError, ValueError) as error:
        reason = f"failed: {error}"
    logged = "\n".join(logs.tail(stack.server, stack.deployment.log_group, 25))
    raise Failure(f"{method} {path} {reason}\n\nThe functions have logged last:\n{logged}")
