"""Reads template.yaml, finds its functions and fills in their code."""

import copy
import json
from dataclasses import dataclass
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from .console import Failure
from .paths import TEMPLATE

Template = dict[str, Any]


@dataclass(frozen=True)
class Function:
    """A function of the template and the binary it runs."""

    logical_id: str
    binary: str


def read() -> Template:
    """Reads the template, with `!Ref` and the like in their long form."""
    template: Template = yaml_parse(TEMPLATE.read_text())
    return template


def functions(template: Template) -> list[Function]:
    """Finds the functions that are built with cargo-lambda."""
    found = []
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        metadata = resource.get("Metadata", {})
        binary = metadata.get("BuildProperties", {}).get("Binary")
        if metadata.get("BuildMethod") != "rust-cargolambda" or not binary:
            raise Failure(
                f"{TEMPLATE.name}: {logical_id} needs Metadata with BuildMethod: rust-cargolambda\n"
                "       and BuildProperties.Binary, as the other functions have"
            )
        found.append(Function(logical_id, binary))
    return found


def value(template: Template, parameters: dict[str, str], name: str) -> str:
    """Returns a parameter's value in a deployment with these parameters."""
    return str(parameters.get(name, template["Parameters"][name].get("Default", "")))


def with_code(template: Template, code: dict[str, dict[str, str]]) -> str:
    """Writes the template as JSON, each CodeUri replaced by its object in S3."""
    filled = copy.deepcopy(template)
    for logical_id, location in code.items():
        filled["Resources"][logical_id].setdefault("Properties", {})["CodeUri"] = location
    return json.dumps(filled, sort_keys=True)
