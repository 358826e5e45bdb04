"""Has the archived reports of a running stack ingested anew, under the numbers that their scans have."""

import json
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from . import deploy, logs, serve
from .console import Failure, step
from .deploy import Deployment
from .paths import StateDirectory
from .serve import Server

# The function has 120 s. A call is never repeated by itself: the first one may still be at work.
_PATIENCE = Config(read_timeout=150, retries={"total_max_attempts": 1})
_TALLY = ("reingested", "not_archived", "failed")


def reingest(state: StateDirectory) -> None:
    """Calls the function until it has been through all scans, and prints what became of them."""
    server = serve.running(state)
    deployment = deploy.recorded(state)
    if server is None or deployment is None or "ReingestName" not in deployment.outputs:
        raise Failure("nothing is deployed that could do it: make up")
    tally = dict.fromkeys(_TALLY, 0)
    after: int | None = 0
    while after is not None:
        answer = _call(server, deployment, after)
        for name in _TALLY:
            tally[name] += answer[name]
        onward = answer["next_after"]
        if onward is not None:
            if onward <= after:
                raise Failure(f"no scan after {after} could be worked at in time")
            step(f"the scans up to {onward} are done")
        after = onward
    print(json.dumps(tally))
    if tally["failed"]:
        raise Failure("not every scan was ingested anew: make logs says why. To call it again is safe")


def _call(server: Server, deployment: Deployment, after: int) -> Any:
    """One run of the function, for as long as it has time."""
    client = boto3.client(
        "lambda",
        endpoint_url=server.endpoint,
        region_name=serve.REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=_PATIENCE,
    )
    name = deployment.outputs["ReingestName"]
    try:
        answer = client.invoke(FunctionName=name, Payload=json.dumps({"after": after}).encode())
        payload = answer["Payload"].read().decode()
    except (BotoCoreError, ClientError) as error:
        raise Failure(f"{name} could not be called: {error}") from error
    if "FunctionError" in answer:
        logged = "\n".join(logs.tail(server, deployment.log_group, 25))
        raise Failure(f"{name} failed: {payload}\n\nThe functions have logged last:\n{logged}")
    return json.loads(payload)
