"""Gives the HTTP API its routes, and each route its authoriser.

SAM writes the routes of an AWS::Serverless::HttpApi as an OpenAPI document in the API's Body. API
Gateway imports it; ministack 1.5 does not, so we read the document and create what it names ourselves.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from .console import Failure
from .resolve import Values

_FUNCTION_IN_URI = re.compile(r"\$\{(\w+)\.Arn\}")


@dataclass(frozen=True)
class Route:
    """A route of the API, the logical id of its function, and its authorisers."""

    key: str
    function: str
    authorizer: str
    """The name of one of the document's security schemes."""
    scopes: list[str]


def connect(cloudformation: Any, gateway: Any, stack: str) -> str:
    """Makes the API's routes those of the deployed template; returns the API's id."""
    template = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
    if isinstance(template, str):
        template = json.loads(template)
    resources = cloudformation.describe_stack_resources(StackName=stack)["StackResources"]
    physical_ids = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}
    deployed = cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Parameters", [])
    given = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in deployed}
    logical_id, body = _api(template)
    api_id: str = physical_ids[logical_id]
    _import(gateway, api_id, Values.of(template, given).resolved(body), physical_ids)
    return api_id


def _import(gateway: Any, api_id: str, body: dict[str, Any], physical_ids: dict[str, str]) -> None:
    """Imports an OpenAPI document as API Gateway does."""
    for route in gateway.get_routes(ApiId=api_id)["Items"]:
        gateway.delete_route(ApiId=api_id, RouteId=route["RouteId"])
    for integration in gateway.get_integrations(ApiId=api_id)["Items"]:
        gateway.delete_integration(ApiId=api_id, IntegrationId=integration["IntegrationId"])
    for authorizer in gateway.get_authorizers(ApiId=api_id)["Items"]:
        gateway.delete_authorizer(ApiId=api_id, AuthorizerId=authorizer["AuthorizerId"])
    _allow_origins(gateway, api_id, body.get("x-amazon-apigateway-cors"))
    authorizers = {
        name: _authorization(gateway, api_id, name, scheme)
        for name, scheme in body.get("components", {}).get("securitySchemes", {}).items()
    }
    for route in declared(body):
        integration = gateway.create_integration(
            ApiId=api_id,
            IntegrationType="AWS_PROXY",
            IntegrationUri=physical_ids[route.function],
            PayloadFormatVersion="2.0",
        )
        gateway.create_route(
            ApiId=api_id,
            RouteKey=route.key,
            Target=f"integrations/{integration['IntegrationId']}",
            AuthorizationScopes=route.scopes,
            **authorizers[route.authorizer],
        )


def declared(body: dict[str, Any]) -> list[Route]:
    """Returns the routes of SAM's OpenAPI document."""
    routes = []
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            if "x-amazon-apigateway-integration" not in operation:
                raise Failure(f"{method} {path}: no function of template.yaml has this route in its Events")
            uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            function = _FUNCTION_IN_URI.search(uri)
            if function is None:
                raise Failure(f"{method} {path}: no function in its integration {uri}")
            security = operation.get("security", [])
            if len(security) != 1 or len(security[0]) != 1:
                raise Failure(f"{method} {path} needs one authoriser, it has {security}")
            [(authorizer, scopes)] = security[0].items()
            verb = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
            key = "$default" if path == "/$default" else f"{verb} {path}"
            routes.append(Route(key, function.group(1), authorizer, scopes))
    return routes


def _authorization(gateway: Any, api_id: str, name: str, scheme: dict[str, Any]) -> dict[str, str]:
    """Writes the security of a route for this scheme."""
    if scheme.get("x-amazon-apigateway-authtype") == "awsSigv4":
        return {"AuthorizationType": "AWS_IAM"}
    authorizer = scheme.get("x-amazon-apigateway-authorizer", {})
    if authorizer.get("type") != "jwt":
        raise Failure(f"local/sirius_local/route.py does not know the security scheme {name} yet: {scheme}")
    configuration = authorizer["jwtConfiguration"]
    created = gateway.create_authorizer(
        ApiId=api_id,
        Name=name,
        AuthorizerType="JWT",
        IdentitySource=[authorizer["identitySource"]],
        JwtConfiguration={"Issuer": configuration["issuer"], "Audience": configuration["audience"]},
    )
    return {"AuthorizationType": "JWT", "AuthorizerId": created["AuthorizerId"]}


def _allow_origins(gateway: Any, api_id: str, cors: dict[str, Any] | None) -> None:
    if cors is None:
        gateway.delete_cors_configuration(ApiId=api_id)
        return
    gateway.update_api(
        ApiId=api_id,
        CorsConfiguration={name[:1].upper() + name[1:]: value for name, value in cors.items()},
    )


def _api(template: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    apis = [
        (logical_id, resource["Properties"]["Body"])
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::ApiGatewayV2::Api"
    ]
    if len(apis) != 1:
        raise Failure(f"template.yaml should have one HTTP API, it has {len(apis)}")
    return apis[0]
