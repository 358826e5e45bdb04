"""The process that plays AWS: ministack 1.5, with its differences from AWS corrected.

Run as a program of its own (see serve.py), not imported: aws_process.py ACCESS-KEY-ID-FILE SECRET-KEY-FILE ORIGINS-FILE.
"""

import dataclasses
import hmac
import socketserver
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from ministack import app
from ministack.core import iam_actions, iam_evaluator, router
from ministack.services import apigateway, s3, sts
from ministack.services.cloudformation import changesets, engine, handlers, stacks

# Python runs isolated, so that nothing of the directory reaches ministack; this one package has to.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from sirius_local import gate  # noqa: E402

_action_of_request = iam_actions.extract_iam_action
_execute = apigateway.handle_execute
_conditions_of = engine._evaluate_conditions
_pin_request_origin = app.pin_request_origin
_resolve_credential = s3.resolve_credential


def authorized_action(service: str, *request: Any, **details: Any) -> str | None:
    """Returns the IAM action that a request needs.

    SQS has none for its batches: SendMessage allows SendMessageBatch. ministack asks for the latter.
    """
    action: str | None = _action_of_request(service, *request, **details)
    return action.removesuffix("Batch") if service == "sqs" and action else action


async def execute(
    api_id: str, stage: str, path: str, method: str, headers: dict[str, str], *request: Any, **details: Any
) -> tuple[int, dict[str, str], bytes]:
    """Shapes an answer as an HTTP API does.

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
    """Evaluates the conditions of a template.

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


def describe(scope: gate.Scope) -> gate.Request:
    """Returns a request as the gate judges it, read with ministack's own functions: both must see the same one."""
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
    query = parse_qs(scope.get("query_string", b"").decode("utf-8", "replace"), keep_blank_values=True)
    path: str = scope["path"]
    host = next((value for name, value in headers if name == "host"), "")
    key = router.extract_access_key_id(dict(headers), query)
    return gate.Request(path, headers, key, app._parse_execute_api_url(host, path) is not None)


def pin_request_origin(source_ip: str, _: bool) -> None:
    """Returns the origin of a request, for the conditions of policies.

    The SDKs speak TLS to AWS and plain HTTP to 127.0.0.1: without this, policies that refuse all but TLS
    (template.yaml) would refuse everything here.
    """
    _pin_request_origin(source_ip, True)


if __name__ == "__main__":
    access_key, secret_key, origins = (Path(argument) for argument in sys.argv[1:])
    del sys.argv[1:]  # ministack reads it too
    secret, root_secret = access_key.read_text().strip(), secret_key.read_text().strip()

    def is_root_access_key(access_key_id: str) -> bool:
        """Tells whether a key is that of this stack's root; ministack takes `test` and every account's number.

        What names no key at all is the root's for ministack; the gate lets it through to routes of the API only.
        """
        return not access_key_id or hmac.compare_digest(access_key_id.encode(), secret.encode())

    def resolve_credential(access_key_id: str, *place: Any, **token: Any) -> Any:
        """Returns the root's key with the secret of this stack, which checks signed URLs; it is in no environment."""
        credential = _resolve_credential(access_key_id, *place, **token)
        if isinstance(credential, iam_evaluator.ResolvedCredential) and is_root_access_key(access_key_id):
            return dataclasses.replace(credential, secret_access_key=root_secret)
        return credential

    s3.resolve_credential = resolve_credential
    iam_evaluator.is_root_access_key = is_root_access_key
    sts.is_root_access_key = is_root_access_key
    gate.guard_runtime_apis()
    app.app = gate.guard(app.app, gate.Gate(secret, origins), describe)
    for module in (changesets, engine, handlers, stacks):
        module._evaluate_conditions = conditions
    apigateway.handle_execute = execute
    iam_actions.extract_iam_action = authorized_action
    app.pin_request_origin = pin_request_origin
    # ministack sends a function its event in two small packets. With Nagle's algorithm the second one
    # waits for the first one's acknowledgement, which the function's kernel holds back: 40 ms per call.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    app.main()
