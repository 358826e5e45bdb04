"""Reads the project's Markdown: its files, links, anchors and fenced blocks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .paths import ROOT

_NOT_OURS = {".git", ".tools", ".local", "target", "node_modules"}
_FENCE = re.compile(r"^( *)```(\S*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    document: str
    line: int
    language: str
    text: str


def files(pattern: str) -> Iterator[Path]:
    """Finds the project's own files of a name pattern."""
    for file in sorted(ROOT.rglob(pattern)):
        if not _NOT_OURS & set(file.relative_to(ROOT).parts):
            yield file


def documents() -> dict[str, str]:
    """Reads all Markdown files, by path from the root."""
    return {str(file.relative_to(ROOT)): file.read_text() for file in files("*.md")}


def blocks(document: str, text: str) -> list[Block]:
    """Finds the fenced blocks of a document, without the indentation of their fences."""
    found = []
    for match in _FENCE.finditer(text):
        inner = re.sub(rf"^{match[1]}", "", match[3], flags=re.MULTILINE)
        found.append(Block(document, text.count("\n", 0, match.start()) + 1, match[2], inner))
    return found


def prose(text: str) -> str:
    """Removes the fenced blocks of a document."""
    return _FENCE.sub("", text)


def links(text: str) -> list[str]:
    """Finds the targets of the links of a document, outside code."""
    return re.findall(r"\]\(([^()\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(text)))


def anchors(text: str) -> set[str]:
    """Makes the anchors of a document's headings as the forge does."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+?)\s*$", prose(text), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = sum(1 for one in found if one == slug or re.fullmatch(rf"{re.escape(slug)}-\d+", one))
        found.add(f"{slug}-{number}" if number else slug)
    return found
