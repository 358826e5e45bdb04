"""Tests that links, commands and names in the documents lead to something."""

import json
import re
import subprocess
import unittest

from sirius_local.markdown import Block, anchors, blocks, documents, files, links, prose
from sirius_local.paths import ROOT

#: Of all Markdown without the decisions, in bytes.
MOST_BYTES = 90 << 10
MOST_LINES_OF_README = 150


def shell() -> list[Block]:
    """Finds the blocks that a reader copies into a shell."""
    return [block for name, text in documents().items() for block in blocks(name, text) if block.language == "sh"]


class Form(unittest.TestCase):
    def test_the_documents_are_short(self) -> None:
        counted = {name: len(text.encode()) for name, text in documents().items() if "docs/decisions/" not in name}
        self.assertLessEqual(sum(counted.values()), MOST_BYTES, counted)
        self.assertLessEqual(len((ROOT / "README.md").read_text().splitlines()), MOST_LINES_OF_README)

    def test_no_document_has_a_comment_that_readers_do_not_see(self) -> None:
        for name, text in documents().items():
            self.assertNotIn("<!--", prose(text), name)

    def test_each_fenced_block_says_its_language(self) -> None:
        for name, text in documents().items():
            for block in blocks(name, text):
                self.assertIn(block.language, {"sh", "json", "text", "mermaid", "calls", "console"}, f"{name}:{block.line}")

    def test_each_block_of_json_is_json(self) -> None:
        for name, text in documents().items():
            for block in blocks(name, text):
                if block.language == "json":
                    with self.subTest(f"{name}:{block.line}"):
                        json.loads(block.text)
        for file in files("docs/*.json"):
            json.loads(file.read_text())

    def test_each_decision_has_a_status(self) -> None:
        for name, text in documents().items():
            if name.startswith("docs/decisions/0"):
                self.assertRegex(text, r"(?m)^Status: (accepted|replaced|superseded)", name)


class Links(unittest.TestCase):
    def test_each_link_leads_to_a_file_and_each_anchor_to_a_heading(self) -> None:
        texts = documents()
        for name, text in texts.items():
            for link in links(text):
                if re.match(r"[a-z]+:", link):
                    self.assertTrue(link.startswith("https://"), f"{name}: {link}")
                    continue
                path, _, anchor = link.partition("#")
                target = (ROOT / name).parent / path if path else ROOT / name
                with self.subTest(f"{name}: {link}"):
                    self.assertTrue(target.exists(), "there is no such file")
                    if anchor:
                        document = str(target.resolve().relative_to(ROOT))
                        self.assertIn(anchor, anchors(texts[document]), "there is no such heading")

    def test_each_document_is_linked_from_another(self) -> None:
        texts = documents()
        linked = {
            str(((ROOT / name).parent / link.partition("#")[0]).resolve().relative_to(ROOT))
            for name, text in texts.items()
            for link in links(text)
            if not re.match(r"[a-z]+:|#", link)
        }
        alone = {name for name in texts if name not in linked and "docs/decisions/" not in name}
        self.assertEqual(alone, {"README.md"})

    def test_each_file_that_prose_names_by_its_path_is_there(self) -> None:
        path = re.compile(r"`((?:\.ci|benches|docs|events|functions|lib|local|replacements|tests)/[\w./-]+)`")
        for name, text in documents().items():
            for named in path.findall(prose(text)):
                self.assertTrue((ROOT / named).exists(), f"{name}: {named}")

    def test_each_document_that_code_names_is_there(self) -> None:
        names = set(documents())
        for kind in ("*.rs", "*.py", "*.sh", "*.toml", "*.yaml", "Makefile"):
            for file in files(kind):
                for named in re.findall(r"(?<![\w/.-])(?:[\w-]+/)*[\w-]+\.md\b", file.read_text()):
                    there = any(name == named or name.endswith(f"/{named}") for name in names)
                    self.assertTrue(there, f"{file.relative_to(ROOT)}: {named}")


class Commands(unittest.TestCase):
    def test_each_block_of_shell_can_be_parsed(self) -> None:
        self.assertGreater(len(shell()), 15)
        for block in shell():
            parsed = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
            self.assertEqual(parsed.returncode, 0, f"{block.document}:{block.line}: {parsed.stderr}")

    def test_each_script_and_file_of_a_block_of_shell_is_there(self) -> None:
        path = re.compile(r"(?<![\w./$-])((?:\.ci|benches|docs|events|functions|lib|local|tests)/[\w./-]+)")
        for block in shell():
            for named in path.findall(block.text):
                self.assertTrue((ROOT / named).exists(), f"{block.document}:{block.line}: {named}")

    def test_each_event_that_is_invoked_is_there(self) -> None:
        for block in shell():
            for function, case in re.findall(r"make invoke F=(\S+) CASE=(\S+)", block.text):
                self.assertTrue((ROOT / "events" / function / f"{case}.json").exists(), f"{function}/{case}")

    def test_each_command_of_the_stack_is_there(self) -> None:
        known = (ROOT / "local/stack.py").read_text()
        for name, text in documents().items():
            for command in re.findall(r"local/stack\.py ([a-z-]+)", text):
                self.assertIn(f'add_parser("{command}"', known, name)

    def test_curl_shows_why_it_failed_and_fails(self) -> None:
        # A command: an option, a quoted or a plain address follows.
        command = re.compile(r'(?<![A-Za-z/-])curl (?=-[A-Za-z-]|"|http://|\$)(?!--fail-with-body -sS )')
        for name, text in documents().items():
            for number, line in enumerate(text.splitlines(), 1):
                self.assertIsNone(command.search(line), f"{name}:{number}: curl without --fail-with-body -sS")
                self.assertNotRegex(line, "--fail-with-body(?!.* curl ).*--fail-with-body", f"{name}:{number}: twice")

    def test_each_target_of_make_that_is_named_is_there_and_explained(self) -> None:
        makefile = (ROOT / "Makefile").read_text()
        targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
        for name, text in documents().items():
            for target in re.findall(r"(?:`|^|; )make ([a-z][a-z-]+)", text, re.MULTILINE):
                self.assertIn(target, targets, name)
        for target in re.findall(r"[a-z-]+", re.findall(r"\.PHONY: ((?:.*\\\n)*.*)", makefile)[0]):
            self.assertIn(target, targets)


if __name__ == "__main__":
    unittest.main()
