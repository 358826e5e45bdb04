"""Gives the HTTP API its routes.

SAM writes the routes of an AWS::Serverless::HttpApi as an OpenAPI document in the API's Body. API
Gateway imports it; ministack 1.5 does not, so we read the document and create the routes ourselves.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from .console import Failure

_FUNCTION_IN_URI = re.compile(r"\$\{(\w+)\.Arn\}")


@dataclass(frozen=True)
class Route:
    """A route of the API and the logical id of the function behind it."""

    key: str
    function: str


def connect(cloudformation: Any, gateway: Any, stack: str) -> str:
    """Makes the API's routes those of the deployed template; returns the API's id."""
    template = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
    if isinstance(template, str):
        template = json.loads(template)
    resources = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    physical_ids = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}
    logical_id, body = _api(template)
    api_id: str = physical_ids[logical_id]

    for present in gateway.get_routes(ApiId=api_id)["Items"]:
        gateway.delete_route(ApiId=api_id, RouteId=present["RouteId"])
    for present in gateway.get_integrations(ApiId=api_id)["Items"]:
        gateway.delete_integration(ApiId=api_id, IntegrationId=present["IntegrationId"])
    for route in declared(body):
        integration = gateway.create_integration(
            ApiId=api_id,
            IntegrationType="AWS_PROXY",
            IntegrationUri=physical_ids[route.function],
            PayloadFormatVersion="2.0",
        )
        gateway.create_route(ApiId=api_id, RouteKey=route.key, Target=f"integrations/{integration['IntegrationId']}")
    return api_id


def declared(body: dict[str, Any]) -> list[Route]:
    """The routes of SAM's OpenAPI document."""
    routes = []
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            if operation.get("security"):
                raise Failure(f"{method} {path} has an authoriser, which local/sirius_local/route.py cannot set up yet")
            uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            function = _FUNCTION_IN_URI.search(uri)
            if function is None:
                raise Failure(f"{method} {path}: no function in its integration {uri}")
            verb = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
            routes.append(Route("$default" if path == "/$default" else f"{verb} {path}", function.group(1)))
    return routes


def _api(template: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    apis = [
        (logical_id, resource["Properties"]["Body"])
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::ApiGatewayV2::Api"
    ]
    if len(apis) != 1:
        raise Failure(f"template.yaml should have one HTTP API, it has {len(apis)}")
    return apis[0]
