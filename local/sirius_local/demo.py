"""Sends the sample report through the running stack and shows what comes back."""

import json
import shutil
from typing import Any

from .ask import ask
from .call import call
from .console import step
from .explain import explain
from .paths import ROOT, SAMPLE_REPORT
from .up import Stack

_COLUMNS = {
    "severity": "SEVERITY",
    "vulnerability_id": "VULNERABILITY",
    "pkg_name": "PACKAGE",
    "installed_version": "INSTALLED",
    "fixed_version": "FIXED IN",
    "title": "TITLE",
}
_WIDEST = {"pkg_name": 24, "installed_version": 20, "fixed_version": 20}
_NARROWEST_TITLE = 24


def demo(stack: Stack) -> None:
    """Posts the sample report, lists its findings, has the worst explained, and says how to go on by hand."""
    sample = SAMPLE_REPORT.relative_to(ROOT)
    step("fetching the feeds of known exploits, from local/sample/enrichment unless told otherwise")
    call(stack.server, stack.deployment, "RefreshFeedsName", {})
    step(f"posting {sample}")
    scan = ask(stack, "POST", "/api/container/scans", SAMPLE_REPORT.read_bytes()).json
    step("reading its findings")
    findings = ask(stack, "GET", f"/api/container/scans/{scan['scan_id']}/findings").json

    print(f"\n$ curl -K .local/curl --json @{sample} $(cat .local/api-url)/api/container/scans")
    print(json.dumps(scan, indent=2))
    if scan.get("duplicate"):
        print(f"\nThis very report was here already: it stays scan {scan['scan_id']}, and nothing is stored twice.")
    print(f"\nThe {len(findings)} findings of scan {scan['scan_id']}, worst first:\n")
    print(f"{table(findings)}\n", flush=True)
    # The bundled model often gives no usable answer: the next finding may fare better.
    for worst in findings[:3]:
        text, is_explained = explain(stack, worst)
        print(text)
        if is_explained or not stack.ollama_url:
            break
    print(_next_steps(stack, scan["scan_id"], findings))


def table(findings: list[dict[str, Any]]) -> str:
    """The findings as text in aligned columns, the title cut to what the terminal has left."""
    rows = [list(_COLUMNS.values())]
    rows += [[_cut(finding.get(field), _WIDEST.get(field)) for field in _COLUMNS] for finding in findings]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    left = shutil.get_terminal_size((120, 24)).columns - sum(width + 2 for width in widths[:-1])
    widths[-1] = max(left, _NARROWEST_TITLE)
    return "\n".join(
        "  ".join(_cut(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _cut(value: Any, width: int | None) -> str:
    text = "-" if value in (None, "") else str(value)
    return text if width is None or len(text) <= width else text[: width - 1] + "…"


def _next_steps(stack: Stack, scan_id: int, findings: list[dict[str, Any]]) -> str:
    image = json.loads(SAMPLE_REPORT.read_text())["ArtifactName"]
    lines = [
        "Everything is still running. To go on:",
        "",
        "  API=$(cat .local/api-url)             # each request is signed, as .local/curl says",
        "  curl -K .local/curl $API/api/container/scans                   # all scans, newest first",
        f"  curl -K .local/curl $API/api/container/scans/{image}",
        f'  curl -K .local/curl "$API/api/container/scans/{scan_id}/findings?severity=CRITICAL&severity=HIGH"',
    ]
    for finding in findings[:1]:
        lines.append(f"  curl -K .local/curl $API/api/container/findings/{finding['finding_id']}")
        if stack.ollama_url:
            lines.append(f"  curl -K .local/curl $API/api/llm/analyze/container/{finding['finding_id']}")
    if stack.ollama_url:
        many = f"$API/api/llm/analyze/container/scans/{scan_id}?severity=CRITICAL"
        lines.append(f'  curl -K .local/curl -X POST "{many}"   # analyses many')
    lines += [
        "  trivy image --format json alpine:3.18 | curl -K .local/curl --json @- $API/api/container/scans",
        "",
        "  make logs     what the functions have logged",
        "  make down     ends it all",
    ]
    return "\n".join(lines)
