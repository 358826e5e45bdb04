"""Asks the model to explain findings and shows an answer, or the reason for its absence."""

import textwrap
import time
from typing import Any

from . import bridge
from .ask import ask
from .console import step
from .up import Stack

CURL = "curl --fail-with-body -sS -K .local/curl"
_PATIENCE = 60.0
_WIDTH = 100
_INDENT = " " * 19
_REAL_MODEL = "OLLAMA_URL=http://127.0.0.1:11434 OLLAMA_MODEL=llama3.1:8b make demo"


def explain(stack: Stack, findings: list[dict[str, Any]]) -> str:
    """Asks about these findings, waits a short time, and formats the first answer."""
    if not stack.ollama_url:
        return f"No finding was analysed, since there is no model here. With an Ollama host:\n\n  {_REAL_MODEL}\n"
    if not findings:
        return "There is no finding to be analysed.\n"
    paths = [f"/api/llm/analyze/container/{finding['finding_id']}" for finding in findings]
    ids = ", ".join(str(finding.get("vulnerability_id")) for finding in findings)
    step(f"asking {stack.ollama_model} about {ids}; for {_PATIENCE:.0f} s at most")
    started = time.monotonic()
    answers = [ask(stack, "GET", f"{path}?wait=0") for path in paths]
    while not any(_is_completed(answer.json) for answer in answers):
        still_pending = [number for number, answer in enumerate(answers) if answer.status == 202]
        if not still_pending or time.monotonic() - started > _PATIENCE:
            break
        time.sleep(2)
        for number in still_pending:
            answers[number] = ask(stack, "GET", f"{paths[number]}?wait=0")
    taken = time.monotonic() - started
    # The first that was explained; else the first that failed, with its reason; else the first.
    shown = min(range(len(answers)), key=lambda number: _rank(answers[number].json))
    command = f'\n$ {CURL} "$(cat .local/api-url){paths[shown]}"\n'
    text = "\n".join(f"  {label:<15}  {text}" for label, text in rows(answers[shown].json, taken))
    return f"{command}\n{text}\n{_remark(stack)}"


def _is_completed(analysis: dict[str, Any]) -> bool:
    return analysis.get("llm_analysis_status") == "completed"


def _rank(analysis: dict[str, Any]) -> int:
    return {"completed": 0, "failed": 1}.get(str(analysis.get("llm_analysis_status")), 2)


def rows(analysis: dict[str, Any], taken: float) -> list[tuple[str, str]]:
    """Formats the analysis as labelled, wrapped text."""

    def field(name: str) -> Any:
        return analysis.get(f"llm_analysis_{name}")

    status = f"{field('status')}, after {taken:.1f} s"
    if field("status") == "pending":
        status += "; it will be there later, with the same request"
    found = [("finding", f"{analysis.get('finding_id')}, {analysis.get('vulnerability_id')}"), ("status", status)]
    if remediation := analysis.get("remediation"):
        found.append(("remediation", _wrapped(remediation)))
    if failure := field("failure"):
        found.append(("failure", _wrapped(f"{failure.get('reason')}: {failure.get('detail')}")))
        if failure.get("retry_at"):
            found.append(("ask again from", str(failure["retry_at"])))
    if field("summary") is not None:
        found += [
            ("model", f"{field('model')}, answered {field('timestamp')}"),
            ("risk score", f"{field('risk_score')} of 10"),
            ("needs review", "yes: do not act on it before a person has looked" if field("needs_review") else "no"),
            *[("", _wrapped(f"- {reason}")) for reason in field("review") or []],
            ("summary", _wrapped(field("summary"))),
            ("recommendations", _wrapped(field("recommendations"))),
        ]
    for removed in field("removed") or []:
        found.append(("taken out", _wrapped(f"{removed.get('reason')}: {removed.get('sentence')}")))
    return found


def _wrapped(text: Any) -> str:
    """Wraps text and removes control characters."""
    lines = []
    for line in str(text or "-").splitlines():
        printable = "".join(character if character.isprintable() else "?" for character in line)
        hanging = "  " if printable.startswith("- ") else ""
        lines += textwrap.wrap(printable, _WIDTH - len(_INDENT), subsequent_indent=hanging)
    return f"\n{_INDENT}".join(lines)


def _remark(stack: Stack) -> str:
    if stack.ollama_model != bridge.MODEL:
        return ""
    return (
        f"\nThe bundled model ({bridge.MODEL}, 135 million parameters) is here to show that the parts work together."
        "\nIts text is poor: judge the plumbing by it, not the analysis. With a real Ollama and a model of yours:"
        f"\n\n  {_REAL_MODEL}\n"
    )
