"""Has one finding explained by the model and shows the answer, or why there is none."""

import textwrap
import time
from typing import Any

from . import bridge
from .ask import ask
from .console import step
from .up import Stack

_PATIENCE = 90.0
_WIDTH = 100
_INDENT = " " * 19
_REAL_MODEL = "OLLAMA_URL=http://127.0.0.1:11434 OLLAMA_MODEL=llama3.1:8b make demo"


def explain(stack: Stack, finding: dict[str, Any]) -> tuple[str, bool]:
    """Asks for an analysis and waits for it as a client would; what to show of it, and whether there is one."""
    if not stack.ollama_url:
        none = "No finding was analysed, since there is no model here. With an Ollama host:"
        return f"{none}\n\n  {_REAL_MODEL}\n", False
    path = f"/api/llm/analyze/container/{finding['finding_id']}?wait=25"
    step(f"asking {stack.ollama_model} about {finding.get('vulnerability_id')} (finding {finding['finding_id']})")
    started = time.monotonic()
    answer = ask(stack, "GET", path)
    while answer.status == 202 and time.monotonic() - started < _PATIENCE:
        step("still pending; asking again")
        answer = ask(stack, "GET", path)
    taken = time.monotonic() - started
    command = f'\n$ curl -K .local/curl "$(cat .local/api-url){path}"\n'
    shown = "\n".join(f"  {label:<15}  {text}" for label, text in rows(answer.json, taken))
    return f"{command}\n{shown}\n{_remark(stack)}", answer.json.get("llm_analysis_status") == "completed"


def rows(analysis: dict[str, Any], taken: float) -> list[tuple[str, str]]:
    """The analysis as labelled, wrapped text."""

    def field(name: str) -> Any:
        return analysis.get(f"llm_analysis_{name}")

    status = f"{field('status')}, after {taken:.1f} s"
    if field("status") == "pending":
        status += "; it will be there later, with the same request"
    found = [("finding", f"{analysis.get('finding_id')}, {analysis.get('vulnerability_id')}"), ("status", status)]
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
    """Text in lines that fit, without anything that a terminal would obey."""
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
