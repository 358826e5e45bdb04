"""Generates docs/PARAMETERS.md from template.yaml: parameters, environment variables and alarms."""

import re
from typing import Any

from . import template
from .console import step
from .paths import ROOT
from .template import Template

DOCUMENT = ROOT / "docs" / "PARAMETERS.md"
#: A longer description is cut to its first sentence; template.yaml has the rest.
_LONGEST = 80

_HEAD = """# Parameters, environment variables and alarms

`make docs` generates this file from `template.yaml`; `make docs-check` compares them.
Long descriptions are cut to their first sentence. What to do about an alarm: [OPERATIONS.md](OPERATIONS.md#alarms).
"""


def write() -> None:
    """Writes docs/PARAMETERS.md."""
    DOCUMENT.write_text(document(template.read()))
    step(f"wrote {DOCUMENT.relative_to(ROOT)}")


def document(source: Template) -> str:
    """Returns the text of docs/PARAMETERS.md for a template."""
    return "\n".join(
        [
            _HEAD,
            "## Parameters\n\n| parameter | default | allowed | meaning |\n|---|---|---|---|",
            *_parameters(source),
            "\n## Environment variables\n\n| variable | value | functions |\n|---|---|---|",
            *_variables(source),
            "\n## Alarms\n\n| alarm | metric | raised at | in periods |\n|---|---|---|---|",
            *_alarms(source),
            "",
        ]
    )


def _parameters(source: Template) -> list[str]:
    rows = []
    for name, parameter in source["Parameters"].items():
        default = parameter["Default"]
        rows.append(f"| `{name}` | {parameter['Default']} | {_allowed(parameter)} | {_plain(parameter['Description'])} |")
    return rows


def _allowed(parameter: dict[str, Any]) -> str:
    if "MinValue" in parameter:
        return f"{parameter['MinValue']} to {parameter['MaxValue']}" if "MaxValue" in parameter else f"≥ {parameter['MinValue']}"
    values = parameter.get("AllowedValues", [])
    if len(values) > 2:
        return f"some of {values[0]} to {values[-1]}"
    if values and values != ["true", "false"]:
        return ", ".join(values)
    return f"≤ {parameter['MaxLength']} characters" if "MaxLength" in parameter else ""


def _plain(text: str) -> str:
    """Cuts a description and escapes what Markdown would read as markup."""
    text = text.strip()
    if len(text) > _LONGEST:
        text = re.split(r"(?<=[.]) ", text)[0]
    return text.replace("*", "\\*").replace("|", "\\|")


def _variables(source: Template) -> list[str]:
    functions = [found for found in source["Resources"].values() if found["Type"] == "AWS::Serverless::Function"]
    used: dict[tuple[str, str], list[str]] = {}
    for name, value in _environment(source["Globals"]["Function"]).items():
        used[name, _value(value)] = ["all"]
    for function in functions:
        for name, value in _environment(function["Properties"]).items():
            used.setdefault((name, _value(value)), []).append(f"`{function['Metadata']['BuildProperties']['Binary']}`")
    same = [f"`{name}`" for name, value in used if value.strip("`").upper() == name.replace("_", "")]
    rows = [
        f"| `{name}` | {value} | {', '.join(by) if len(by) < 4 else f'{len(by)} of {len(functions)}'} |"
        for (name, value), by in used.items()
        if f"`{name}`" not in same
    ]
    return [*rows, f"\nThese hold the parameter of the same name: {', '.join(same)}."]


def _environment(properties: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = properties.get("Environment", {}).get("Variables", {})
    return found


def _value(value: Any) -> str:
    if isinstance(value, dict) and "Fn::If" in value:
        condition, then, _ = value["Fn::If"]
        return f"{_value(then)} if `{condition}`"
    return f"`{value['Ref']}`" if isinstance(value, dict) else f"`{value}`"


def _alarms(source: Template) -> list[str]:
    """Makes a row of all alarms that have the same condition on different things."""
    rows: dict[tuple[str, int, str], list[tuple[str, str]]] = {}
    for name, resource in source["Resources"].items():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            alarm = resource["Properties"]
            periods = alarm["EvaluationPeriods"]
            when = f"{alarm.get('DatapointsToAlarm', periods)}/{periods} × {alarm['Period'] // 60} min"
            of = "".join(map(_dimension, alarm.get("Dimensions", [])))
            rows.setdefault((alarm["MetricName"], alarm["Threshold"], when), []).append((name, of))
    return [
        f"| {', '.join(f'`{name}`' for name, _ in alarms)} | {metric}{alarms[0][1] if len(alarms) == 1 else ''} | {at} | {when} |"
        for (metric, at, when), alarms in rows.items()
    ]


def _dimension(dimension: dict[str, Any]) -> str:
    value = dimension["Value"]
    if isinstance(value, dict):
        name = value.get("Ref") or value["Fn::GetAtt"][0]
        return "" if name == "AWS::StackName" else f" of {name}"
    return f" ({value})"
