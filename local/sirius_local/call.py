"""Calls a function of a running stack: schedules do not run on this machine."""

import json
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from . import logs
from .console import Failure
from .deploy import Deployment
from .serve import Server

# The longest function has 300 s. A call is never repeated by itself: the first one may still be at work.
_PATIENCE = Config(read_timeout=330, retries={"total_max_attempts": 1})


def call(server: Server, deployment: Deployment, output: str, payload: dict[str, Any]) -> Any:
    """Calls the function that an output of the stack names, and returns its answer."""
    client = server.client("lambda", _PATIENCE)
    name = deployment.outputs[output]
    try:
        answer = client.invoke(FunctionName=name, Payload=json.dumps(payload).encode())
        text = answer["Payload"].read().decode()
    except (BotoCoreError, ClientError) as error:
        raise Failure(f"{name} could not be called: {error}") from error
    if "FunctionError" in answer:
        logged = "\n".join(logs.tail(server, deployment.log_group, 25))
        raise Failure(f"{name} failed: {text}\n\nThe functions have logged last:\n{logged}")
    return json.loads(text)
