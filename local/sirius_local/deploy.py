"""Deploys template.yaml to a running server, the way `sam deploy` would: code to S3, then the stack."""

import hashlib
import json
import platform
import time
from base64 import b64decode
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from . import route, template
from .console import Failure, step
from .package import digest, package
from .paths import StateDirectory
from .serve import Server, forget_code

STACK = "sirius"
_BUCKET = "sirius-code"
_TEMPLATE = "template.json"
_SECONDS = 60.0


@dataclass(frozen=True)
class Deployment:
    """A deployment and its addresses."""

    fingerprint: str
    api_url: str
    outputs: dict[str, str]
    function_variables: dict[str, str]

    @property
    def table(self) -> str:
        """The name of the table."""
        return self.outputs["TableName"]

    @property
    def log_group(self) -> str:
        """The log group of all functions."""
        return self.outputs["LogGroupName"]


def deploy(
    state: StateDirectory,
    server: Server,
    source: template.Template,
    binaries: dict[str, Path],
    overrides: dict[str, str],
) -> Deployment:
    """Makes the deployed stack match the template, the binaries and the parameters."""
    functions = template.functions(source)
    # Objects in S3 are named by their content: a function is updated when its binary differs, and
    # a deployment is the same as the last one exactly when its template and parameters are.
    code = {function.logical_id: _location(binaries[function.binary]) for function in functions}
    body = template.with_code(source, code)
    parameters = _parameters(source, overrides)
    fingerprint = hashlib.sha256(json.dumps([body, parameters]).encode()).hexdigest()

    before = recorded(state)
    if before is not None and before.fingerprint == fingerprint:
        step("nothing has changed since the last deployment")
        return before

    step(f"deploying template.yaml with {len(functions)} functions")
    session = boto3.Session()
    s3 = session.client("s3")
    packages = {code[function.logical_id]["Key"]: binaries[function.binary] for function in functions}
    _upload(s3, packages)
    cloudformation = session.client("cloudformation")
    _apply(cloudformation, _template_url(s3, server, body), parameters)
    lambda_ = session.client("lambda")
    _count_in_numbers(lambda_)
    api_id = route.connect(cloudformation, session.client("apigatewayv2"), STACK)

    deployed = _functions(lambda_)
    _forget_old_code(state, s3, set(packages), deployed)
    stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
    deployment = Deployment(
        fingerprint=fingerprint,
        # The path form: with the API's id in the host name lambda_http cannot parse the URL.
        api_url=f"{server.endpoint}/_aws/execute-api/{api_id}/$default",
        outputs={output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]},
        function_variables=_variables(deployed),
    )
    state.deployed.write_text(json.dumps(asdict(deployment), indent=2))
    return deployment


def recorded(state: StateDirectory) -> Deployment | None:
    """Reads the last deployment to the server of this state directory."""
    try:
        return Deployment(**json.loads(state.deployed.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _parameters(source: template.Template, overrides: dict[str, str]) -> dict[str, str]:
    unknown = sorted(set(overrides) - set(source["Parameters"]))
    if unknown:
        raise Failure(f"template.yaml has no parameter {', '.join(unknown)}; it has {', '.join(source['Parameters'])}")
    machine = platform.machine().lower()
    return {"Architecture": "arm64" if machine in ("arm64", "aarch64") else "x86_64", **overrides}


def _location(binary: Path) -> dict[str, str]:
    return {"Bucket": _BUCKET, "Key": f"{binary.name}/{digest(binary)}.zip"}


def _upload(s3: Any, objects: dict[str, Path]) -> None:
    """Puts the binaries that are not there yet into the stack's bucket, each as a Lambda package."""
    if _BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=_BUCKET)
    present = {found["Key"] for found in s3.list_objects_v2(Bucket=_BUCKET).get("Contents", [])}
    for key, binary in objects.items():
        if key not in present:
            s3.put_object(Bucket=_BUCKET, Key=key, Body=package(binary))


def _template_url(s3: Any, server: Server, body: str) -> str:
    """Puts the template into the stack's bucket: a request may carry no more than 51,200 bytes of it."""
    s3.put_object(Bucket=_BUCKET, Key=_TEMPLATE, Body=body.encode())
    return f"{server.endpoint}/{_BUCKET}/{_TEMPLATE}"


def _apply(cloudformation: Any, template_url: str, parameters: dict[str, str]) -> None:
    """Creates or updates the stack and waits for the outcome."""
    exists = _status(cloudformation) is not None
    change = cloudformation.update_stack if exists else cloudformation.create_stack
    try:
        change(
            StackName=STACK,
            TemplateURL=template_url,
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except ClientError as error:
        reason = error.response["Error"]["Message"][:2000]  # it may quote the whole template
        if "No updates are to be performed" in reason:
            return
        raise Failure(f"template.yaml is refused: {reason}") from error
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        status = _status(cloudformation)
        if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            return
        if status is None or status.endswith(("_FAILED", "ROLLBACK_COMPLETE")):
            reasons = _reasons(cloudformation)
            if not exists:
                cloudformation.delete_stack(StackName=STACK)  # what cannot be updated later
            raise Failure(f"the stack could not be deployed ({status}):\n{reasons}")
        time.sleep(0.05)
    raise Failure(f"the stack was not deployed within {_SECONDS:.0f} s")


def _status(cloudformation: Any) -> str | None:
    try:
        status: str = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]
    except ClientError:
        return None  # there is no such stack
    return None if status == "DELETE_COMPLETE" else status


def _reasons(cloudformation: Any) -> str:
    events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    return "\n".join(
        f"       {event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
        for event in reversed(failed)
    )


def _functions(lambda_: Any) -> list[dict[str, Any]]:
    return [function for page in lambda_.get_paginator("list_functions").paginate() for function in page["Functions"]]


def _count_in_numbers(lambda_: Any) -> None:
    """Makes the concurrency of each event source a number.

    A parameter of type Number is one on AWS. ministack 1.5 keeps its text, and its poller fails on that.
    """
    for page in lambda_.get_paginator("list_event_source_mappings").paginate():
        for mapping in page["EventSourceMappings"]:
            if limit := mapping.get("ScalingConfig", {}).get("MaximumConcurrency"):
                lambda_.update_event_source_mapping(
                    UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": int(limit)}
                )


def _variables(functions: list[dict[str, Any]]) -> dict[str, str]:
    """Returns the environment variables of all functions together, for running one outside the stack."""
    variables: dict[str, str] = {}
    for function in functions:
        variables.update(function.get("Environment", {}).get("Variables", {}))
    return variables


def _forget_old_code(state: StateDirectory, s3: Any, current: set[str], functions: list[dict[str, Any]]) -> None:
    """Drops the code of former deployments: a stack may live for weeks and see hundreds of builds."""
    for found in s3.list_objects_v2(Bucket=_BUCKET).get("Contents", []):
        if found["Key"] not in {*current, _TEMPLATE}:
            s3.delete_object(Bucket=_BUCKET, Key=found["Key"])
    forget_code(state, keep={b64decode(function["CodeSha256"]).hex() for function in functions})
