"""Lints template.yaml as it is written and as SAM's transform turns it into CloudFormation.

cfn-lint does not translate SAM: in the template as written it looks into no function's events, and takes any
architecture. What it finds there it finds in the translated template only.
"""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from . import install, template
from .console import Failure, step
from .paths import TEMPLATE
from .serve import REGION

_CODE = {"Bucket": "sirius-code", "Key": "function.zip"}


@dataclass(frozen=True)
class Fault:
    """A finding of cfn-lint."""

    file: str
    rule: str
    path: str
    """Where in the template: members with slashes between them."""
    message: str


def translated(source: template.Template) -> template.Template:
    """Translates the template as CloudFormation deploys it. No network: AWS's managed policies are named by their ARNs here."""
    code = {function.logical_id: _CODE for function in template.functions(source)}
    filled = json.loads(template.with_code(source, code))
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)  # the transform asks for the partition
    result: template.Template = Translator({}, Parser()).translate(filled, {})
    return result


def faults(*files: Path) -> list[Fault]:
    """Lints these files with cfn-lint."""
    program = install.venv("lint") / "bin" / "cfn-lint"
    linted = subprocess.run([program, "--format", "json", *files], capture_output=True, text=True)
    try:
        matches = json.loads(linted.stdout)
    except ValueError:
        raise Failure(f"cfn-lint failed:\n{linted.stdout}{linted.stderr}") from None
    return [
        Fault(
            Path(match["Filename"]).name,
            match["Rule"]["Id"],
            "/".join(str(member) for member in match["Location"]["Path"] or []),
            match["Message"],
        )
        for match in matches
    ]


def check() -> int:
    """Lints both, prints the findings, returns the exit code."""
    install.install("lint")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "translated.json"
        file.write_text(json.dumps(translated(template.read()), indent=1))
        found = faults(TEMPLATE, file)
    for fault in found:
        print(f"{fault.file}: {fault.rule} at {fault.path}: {fault.message}")
    step(f"template.yaml has {len(found)} faults" if found else "template.yaml is as it should be, also translated")
    return 1 if found else 0
