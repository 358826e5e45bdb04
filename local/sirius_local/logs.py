"""Reads what the functions have logged."""

from botocore.exceptions import BotoCoreError

from . import deploy, serve
from .console import Failure
from .paths import StateDirectory
from .serve import Server


def show(state: StateDirectory, lines: int) -> None:
    """Prints the newest log lines of a running stack."""
    server = serve.running(state)
    deployment = deploy.recorded(state)
    if server is None or deployment is None:
        raise Failure("nothing is deployed: make up")
    for line in tail(server, deployment.log_group, lines):
        print(line)


def tail(server: Server, group: str, lines: int) -> list[str]:
    """Returns the newest lines of a log group, oldest first."""
    client = server.client("logs")
    try:
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=group)
        events = [event for page in pages for event in page["events"]]
    except client.exceptions.ResourceNotFoundException:
        return ["(no function has run yet)"]
    except BotoCoreError as error:
        return [f"(the logs cannot be read: {error})"]
    events.sort(key=lambda event: event["timestamp"])
    return [event["message"].rstrip() for event in events[-lines:]]
