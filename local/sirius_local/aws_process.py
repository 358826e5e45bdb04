"""The process that plays AWS: ministack 1.5, with what it does otherwise than AWS put right.

Run as a program of its own (see serve.py), not imported.
"""

import socketserver
from typing import Any

from ministack import app
from ministack.core import iam_actions

_action_of_request = iam_actions.extract_iam_action
_pin_request_origin = app.pin_request_origin


def authorized_action(service: str, *request: Any, **details: Any) -> str | None:
    """The IAM action that a request needs.

    SQS has none for its batches: who may SendMessage may SendMessageBatch. ministack asks for the latter.
    """
    action: str | None = _action_of_request(service, *request, **details)
    return action.removesuffix("Batch") if service == "sqs" and action else action


def pin_request_origin(source_ip: str, _: bool) -> None:
    """Where a request comes from, for the conditions of policies.

    The SDKs speak TLS to AWS and plain HTTP to 127.0.0.1: without this, policies that refuse all but TLS
    (template.yaml) would refuse everything here.
    """
    _pin_request_origin(source_ip, True)


if __name__ == "__main__":
    iam_actions.extract_iam_action = authorized_action
    app.pin_request_origin = pin_request_origin
    # ministack sends a function its event in two small packets. With Nagle's algorithm the second one
    # waits for the first one's acknowledgement, which the function's kernel holds back: 40 ms per call.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    app.main()
