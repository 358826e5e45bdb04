"""The process that plays AWS: ministack 1.5, with what it does otherwise than AWS put right.

Run as a program of its own (see serve.py), not imported.
"""

import socketserver
from typing import Any

from ministack import app
from ministack.core import iam_actions
from ministack.services import apigateway
from ministack.services.cloudformation import changesets, engine, handlers, stacks

_action_of_request = iam_actions.extract_iam_action
_execute = apigateway.handle_execute
_conditions_of = engine._evaluate_conditions
_pin_request_origin = app.pin_request_origin


def authorized_action(service: str, *request: Any, **details: Any) -> str | None:
    """The IAM action that a request needs.

    SQS has none for its batches: who may SendMessage may SendMessageBatch. ministack asks for the latter.
    """
    action: str | None = _action_of_request(service, *request, **details)
    return action.removesuffix("Batch") if service == "sqs" and action else action


async def execute(
    api_id: str, stage: str, path: str, method: str, headers: dict[str, str], *request: Any, **details: Any
) -> tuple[int, dict[str, str], bytes]:
    """What an HTTP API answers.

    Only a signature opens a route with AWS_IAM. ministack lets any Authorization header through there.
    """
    authorization = apigateway.route_authorization_type(api_id, stage, method, path)
    if authorization == "AWS_IAM" and not headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 "):
        return 403, {"Content-Type": "application/json"}, b'{"message":"Forbidden"}'
    answer: tuple[int, dict[str, str], bytes] = await _execute(
        api_id, stage, path, method, headers, *request, **details
    )
    return answer


def conditions(template: dict[str, Any], parameters: dict[str, Any]) -> dict[str, bool]:
    """Which conditions of a template hold.

    With Fn::Join a condition asks whether a list is empty. ministack does not know it there: no list is.
    """

    def joined(node: Any) -> Any:
        match node:
            case {"Fn::Join": [separator, {"Ref": name}]} if name in parameters:
                return separator.join(str(parameters[name]["Value"]).split(","))
            case dict():
                return {key: joined(member) for key, member in node.items()}
            case list():
                return [joined(member) for member in node]
        return node

    known = {**template, "Conditions": joined(template.get("Conditions", {}))}
    holding: dict[str, bool] = _conditions_of(known, parameters)
    return holding
def pin_request_origin(source_ip: str, _: bool) -> None:
    """Where a request comes from, for the conditions of policies.

    The SDKs speak TLS to AWS and plain HTTP to 127.0.0.1: without this, policies that refuse all but TLS
    (template.yaml) would refuse everything here.
    """
    _pin_request_origin(source_ip, True)


if __name__ == "__main__":
    for module in (changesets, engine, handlers, stacks):
        module._evaluate_conditions = conditions
    apigateway.handle_execute = execute
    iam_actions.extract_iam_action = authorized_action
    app.pin_request_origin = pin_request_origin
    # ministack sends a function its event in two small packets. With Nagle's algorithm the second one
    # waits for the first one's acknowledgement, which the function's kernel holds back: 40 ms per call.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    app.main()
