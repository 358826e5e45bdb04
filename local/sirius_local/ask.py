"""Asks the API of a running stack, signing as its `AuthMode` IAM wants it."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from . import logs
from .console import Failure
from .up import Stack


@dataclass(frozen=True)
class Answer:
    """An answer of the API."""

    status: int
    json: Any


def ask(stack: Stack, method: str, path: str, body: bytes | None = None) -> Answer:
    """Sends one request; a failure shows the logs of the functions."""
    url = stack.deployment.api_url + path
    request = urllib.request.Request(url, data=body, method=method, headers=_signed(method, url, body))
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, json.load(answer))
    except urllib.error.HTTPError as error:
        reason = f"answered {error.code}: {error.read().decode(errors='replace')}"
    except (OSError, ValueError) as error:
        reason = f"failed: {error}"
    logged = "\n".join(logs.tail(stack.server, stack.deployment.log_group, 25))
    raise Failure(f"{method} {path} {reason}\n\nThe functions have logged last:\n{logged}")


def _signed(method: str, url: str, body: bytes | None) -> dict[str, str]:
    """Signs a request with the keys of the environment, which `up` has set."""
    session = boto3.Session()
    request = AWSRequest(method, url, headers={"Content-Type": "application/json"}, data=body)
    SigV4Auth(session.get_credentials(), "execute-api", session.region_name).add_auth(request)
    return dict(request.headers)
