"""The process that plays AWS: ministack 1.5, with what it does otherwise than AWS put right.

Run as a program of its own (see serve.py), not imported.
"""

import socketserver
from typing import Any

from ministack.app import main
from ministack.core import iam_actions

_action_of_request = iam_actions.extract_iam_action


def authorized_action(service: str, *request: Any, **details: Any) -> str | None:
    """The IAM action that a request needs.

    SQS has none for its batches: who may SendMessage may SendMessageBatch. ministack asks for the latter.
    """
    action: str | None = _action_of_request(service, *request, **details)
    return action.removesuffix("Batch") if service == "sqs" and action else action


if __name__ == "__main__":
    iam_actions.extract_iam_action = authorized_action
    # ministack sends a function its event in two small packets. With Nagle's algorithm the second one
    # waits for the first one's acknowledgement, which the function's kernel holds back: 40 ms per call.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    main()
