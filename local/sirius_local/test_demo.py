"""Tests the output of the demo."""

import unittest
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

from sirius_local import bridge, demo, explain

WORK = {
    "package": "minimist", "type": "node-pkg", "fixed_versions": ["1.2.6", "0.2.4"], "band": "P2", "score": 1.41,
    "due": "2026-12-04", "why": ["known to be exploited", "no\x1b[31m colour"], "worst_vulnerability": "CVE-2021-44906",
    "total_images": 2, "findings_cleared": 3,
}  # fmt: skip


@dataclass
class Answer:
    status: int
    json: Any


class Priorities(unittest.TestCase):
    """The priorities."""

    def test_each_piece_of_work_comes_with_its_reasons_and_nothing_that_a_terminal_obeys(self) -> None:
        text = demo.priorities([WORK])
        for part in ("1. upgrade minimist (node-pkg) to 1.2.6 or 0.2.4", "P2", "due 2026-12-04", "- known to be exploited"):
            self.assertIn(part, text)
        self.assertNotIn("\x1b", text)

    def test_none_is_said(self) -> None:
        self.assertIn("nothing yet", demo.priorities([]))


class Explained(unittest.TestCase):
    """The model's answers."""

    stack: Any = SimpleNamespace(ollama_url="http://127.0.0.1:1", ollama_model=bridge.MODEL)
    findings = [{"finding_id": number, "vulnerability_id": f"CVE-2024-000{number}"} for number in (1, 2)]

    def explained(self, statuses: dict[str, str]) -> str:
        def answer(_stack: Any, _method: str, path: str) -> Answer:
            status = statuses[path.split("?")[0].rsplit("/", 1)[1]]
            return Answer(202 if status == "pending" else 200, {"finding_id": 0, "llm_analysis_status": status})

        with mock.patch.object(explain, "ask", answer), mock.patch.object(explain.time, "sleep"):
            with mock.patch.object(explain, "_PATIENCE", 0.01):
                return explain.explain(self.stack, self.findings)

    def test_the_first_completed_one_is_shown_and_the_disclaimer_once(self) -> None:
        text = self.explained({"1": "failed", "2": "completed"})
        self.assertIn("container/2", text)
        self.assertNotIn("container/1", text)
        self.assertEqual(text.count("The bundled model"), 1)

    def test_what_takes_too_long_is_left_for_later(self) -> None:
        text = self.explained({"1": "pending", "2": "pending"})
        self.assertIn("it will be there later", text)
        self.assertEqual(text.count("The bundled model"), 1)


if __name__ == "__main__":
    unittest.main()
