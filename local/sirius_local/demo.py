"""Sends the sample report to the running stack and shows the answers."""

import json
import shutil
import textwrap
import time
from typing import Any

from .ask import ask
from .call import call
from .console import step
from .explain import CURL, explain
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
_WIDTH = 100
_PRIORITIES = "/api/container/priorities?limit=3"
_PATIENCE = 60.0


def demo(stack: Stack) -> None:
    """Posts the sample report, shows what to fix first, its findings, one analysis, and the next commands."""
    sample = SAMPLE_REPORT.relative_to(ROOT)
    step("fetching the feeds of known exploits, from local/sample/enrichment unless told otherwise")
    call(stack.server, stack.deployment, "RefreshFeedsName", {})
    step(f"posting {sample}")
    scan = ask(stack, "POST", "/api/container/scans", SAMPLE_REPORT.read_bytes()).json
    step("waiting until its vulnerabilities are looked up")
    top = settled_priorities(stack)
    findings = ask(stack, "GET", f"/api/container/scans/{scan['scan_id']}/findings").json

    print(f'\n$ {CURL} "$(cat .local/api-url){_PRIORITIES}"\n\nWhat to fix first, over all images:\n')
    print(f"{priorities(top)}\n")
    print(f"$ {CURL} --json @{sample} $(cat .local/api-url)/api/container/scans")
    print(json.dumps(scan, indent=2))
    if scan.get("duplicate"):
        print(f"\nThis report was stored already as scan {scan['scan_id']}; nothing is stored twice.")
    print(f"\nThe {len(findings)} findings of scan {scan['scan_id']}, worst first:\n")
    print(f"{table(findings)}\n", flush=True)
    # The bundled model often gives no usable answer: the next finding may fare better.
    print(explain(stack, findings[:3]))
    print(_next_steps(stack, scan["scan_id"], findings))


def settled_priorities(stack: Stack) -> list[dict[str, Any]]:
    """Returns the top of the fleet's work once two answers are the same: facts of sources arrive in the background."""
    deadline = time.monotonic() + _PATIENCE
    before: list[dict[str, Any]] = []
    while True:
        now: list[dict[str, Any]] = ask(stack, "GET", _PRIORITIES).json["priorities"]
        if (now and now == before) or time.monotonic() > deadline:
            return now
        before = now
        time.sleep(4)


def priorities(top: list[dict[str, Any]]) -> str:
    """Formats pieces of work, each with its reasons."""
    if not top:
        return "  nothing yet: the vulnerabilities are still being looked up. The same request has it later."
    lines = []
    for number, work in enumerate(top, 1):
        due = f", due {work['due']}" if work.get("due") else ""
        fixed = " or ".join(work.get("fixed_versions") or []) or "no fixed version"
        lines.append(f"  {number}. upgrade {work['package']} ({work['type']}) to {fixed}")
        lines.append(
            f"     {work['band']}, score {work['score']}{due}: {work['worst_vulnerability']};"
            f" images: {work['total_images']}, findings cleared: {work['findings_cleared']}"
        )
        for reason in work.get("why") or []:
            lines += textwrap.wrap(_printable(reason), _WIDTH, initial_indent="     - ", subsequent_indent="       ")
    return "\n".join(lines)


def table(findings: list[dict[str, Any]]) -> str:
    """Formats the findings in aligned columns, the title cut to the terminal's width."""
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
    text = "-" if value in (None, "") else _printable(str(value))
    return text if width is None or len(text) <= width else text[: width - 1] + "…"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _next_steps(stack: Stack, scan_id: int, findings: list[dict[str, Any]]) -> str:
    image = json.loads(SAMPLE_REPORT.read_text())["ArtifactName"]
    lines = [
        "Sources are read from files in local/sample/enrichment, which know the sample's ids only.",
        "To ask NVD, OSV, CISA and FIRST themselves:",
        "",
        '  make up FLAGS="--parameter EnrichmentSources=live"',
        "",
        "Everything is still running. To go on:",
        "",
        "  API=$(cat .local/api-url)             # each request is signed, as .local/curl says",
        f'  {CURL} "$API/api/container/scans"                   # all scans, newest first',
        f'  {CURL} "$API/api/container/scans/{image}"',
        f'  {CURL} "$API/api/container/scans/{scan_id}/findings?severity=CRITICAL&severity=HIGH"',
    ]
    for finding in findings[:1]:
        lines.append(f'  {CURL} "$API/api/container/findings/{finding["finding_id"]}"')
        if stack.ollama_url:
            lines.append(f'  {CURL} "$API/api/llm/analyze/container/{finding["finding_id"]}"')
    if stack.ollama_url:
        many = f"$API/api/llm/analyze/container/scans/{scan_id}?severity=CRITICAL"
        lines.append(f'  {CURL} -X POST "{many}"   # analyses many')
    lines += [
        f'  trivy image --format json alpine:3.18 | {CURL} --json @- "$API/api/container/scans"',
        "",
        "  make logs     shows the logs of the functions",
        "  make down     stops the stack",
    ]
    return "\n".join(lines)
