"""Resolves parameters and conditions in parts of the template.

ministack resolves them in what it provisions. The API's OpenAPI document it does not provision, so what
that holds is resolved here: parameters, conditions and `Fn::If`. Other functions stay as they are.
"""

from dataclasses import dataclass
from typing import Any

from .console import Failure

_NO_VALUE = {"Ref": "AWS::NoValue"}


@dataclass(frozen=True)
class Values:
    """The parameters and conditions of a template in one deployment."""

    parameters: dict[str, str | list[str]]
    conditions: dict[str, Any]

    @staticmethod
    def of(template: dict[str, Any], given: dict[str, str]) -> "Values":
        """Returns the values of a template that is deployed with these parameters."""
        parameters: dict[str, str | list[str]] = {}
        for name, declared in template.get("Parameters", {}).items():
            text = given.get(name, str(declared.get("Default", "")))
            is_list = declared["Type"] == "CommaDelimitedList"
            parameters[name] = [member.strip() for member in text.split(",")] if is_list else text
        return Values(parameters, template.get("Conditions", {}))

    def resolved(self, node: Any) -> Any:
        """Resolves a part of the template for this deployment."""
        if isinstance(node, list):
            return [self.resolved(member) for member in node if self._chosen(member) != _NO_VALUE]
        if not isinstance(node, dict):
            return node
        chosen = self._chosen(node)
        if chosen is not node:
            return self.resolved(chosen)
        if set(node) == {"Ref"} and node["Ref"] in self.parameters:
            return self.parameters[node["Ref"]]
        return {name: self.resolved(member) for name, member in node.items() if self._chosen(member) != _NO_VALUE}

    def _chosen(self, node: Any) -> Any:
        """Resolves an `Fn::If`; leaves anything else as it is."""
        while isinstance(node, dict) and set(node) == {"Fn::If"}:
            condition, then, otherwise = node["Fn::If"]
            node = then if self._holds(self.conditions[condition]) else otherwise
        return node

    def _holds(self, condition: dict[str, Any]) -> bool:
        [(function, arguments)] = condition.items()
        match function:
            case "Condition":
                return self._holds(self.conditions[arguments])
            case "Fn::Not":
                return not self._holds(arguments[0])
            case "Fn::And":
                return all(self._holds(argument) for argument in arguments)
            case "Fn::Or":
                return any(self._holds(argument) for argument in arguments)
            case "Fn::Equals":
                return self._text(arguments[0]) == self._text(arguments[1])
        raise Failure(f"local/sirius_local/resolve.py does not know the condition {function} yet")

    def _text(self, node: Any) -> str:
        if isinstance(node, dict) and set(node) == {"Fn::Join"}:
            separator, members = node["Fn::Join"]
            return str(separator).join(self.resolved(members))
        resolved = self.resolved(node)
        if not isinstance(resolved, str):
            raise Failure(f"local/sirius_local/resolve.py cannot compare {node}")
        return resolved
