"""What may go into the dictionary: the constant text of the corpus's findings.

A finding is taken apart into runs of constant text. Whatever belongs to one report or
to one vulnerability is cut away here, before anything is counted: prose (except single
words), versions, digests, package names and paths, the numbered parts of URLs.
"""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

Run = tuple[str, ...]  # neighbouring atoms: short pieces of constant text

ENUMERATED = {"Class", "Type", "Severity", "SeveritySource", "Status", "CweIDs", "ID", "BaseID",
              "Name", "URL", "V2Vector", "V3Vector", "V40Vector"}
URLS = {"References", "PrimaryURL"}
DISTRIBUTIONS = "alma|alpine|amazon|centos|debian|opensuse|oracle|photon|redhat|rocky|ubuntu|wolfi"
# The groups are the constant parts of a value; a key that is in no table has none.
PATTERNS = {key: re.compile(pattern) for key, pattern in {
    "Digest": r"(sha256:).*",
    "DiffID": r"(sha256:).*",
    "LastModifiedDate": r"(\d{4}-\d\d-\d\dT).*(Z)",
    "PublishedDate": r"(19|20).*(Z)",
    "PURL": rf"(pkg:[a-z]+/(?:(?:{DISTRIBUTIONS})/)?)[^?]*(\?arch=[a-z0-9_]+(?:&distro=[a-z]+-)?)?.*",
    "PkgPath": r".*(/package\.json|\.jar)",
    "Target": r".*(?:( \([a-z]+ ).*(\))|(?<![\w-])([A-Za-z.-]{4,}))",
}.items()}
URL_PART = re.compile(r"(?:https?|ftp)://[^/\s]+/?|[^/?=#&]*[/?=#&]|[^/?=#&]+")
# A numbered part of a URL: CVE-2020-1234, msg00012.html. Not a hash.
NUMBERED = re.compile(r"(?![0-9a-f]{7})((?:[A-Z]+[-_:.])+|[A-Za-z]+[-_:.]|[a-z]{2,8}|K(?=\d))?"
                      r".*?(\.[a-z]{2,5}[/?#]?|[/?=#&])?")
# A headline or a person in a URL: here-is-what-you-need-to-know, @name.
PROSE_IN_URL = re.compile(r"@.*|(?:[^-]*-){3}.*")
WORD = re.compile(r"(?<![\w/.\\-])[A-Za-z][a-z]{3,}(?![\w/\\-])")


@dataclass
class Finding:
    """One vulnerability object of a report; `content` is what its item's blob holds."""

    family: str
    provenance: str
    report: str
    vulnerability: str
    package: str
    severity: str
    content: dict[str, Any]

    @cached_property
    def text(self) -> bytes:
        """The canonical JSON that is compressed."""
        return json.dumps(self.content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @cached_property
    def facts(self) -> set[Run]:
        facts = set(runs(self.content))
        details = self.content["Vulnerability"]
        for prose in (details.get("Description", ""), details.get("Title", "")):
            facts |= {(" " + word,) for word in WORD.findall(prose)}
        return facts


def read_corpus(corpus: Path) -> list[Finding]:
    findings = []
    with open(corpus / "MANIFEST.tsv", encoding="utf-8") as manifest:
        for row in csv.DictReader(manifest, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["kind"] not in ("v2", "v1-array"):
                continue
            report = json.loads((corpus / row["file"]).read_bytes())
            for result in report if isinstance(report, list) else report.get("Results") or []:
                for details in result.get("Vulnerabilities") or []:
                    details = dict(details)
                    findings.append(Finding(
                        row["family"], row["provenance"], row["file"],
                        details.pop("VulnerabilityID", ""), details.pop("PkgName", ""),
                        details.get("Severity", "UNKNOWN"),
                        {key: result[key] for key in ("Class", "Target", "Type") if key in result}
                        | {"Vulnerability": details}))
    return findings


# --- facts: constant text out of findings -------------------------------------------------

def constants(match: re.Match[str] | None) -> Iterator[str | None]:
    """Returns the groups of a match, and None for each part between them; None alone if there is no match."""
    if match is None:
        yield None
        return
    end = 0
    for group in range(1, match.re.groups + 1):
        if match[group]:
            if match.start(group) > end:
                yield None
            yield match[group]
            end = match.end(group)
    if end < match.end():
        yield None


def string_constants(key: str, value: str) -> Iterator[str | None]:
    if key in ENUMERATED:
        yield value
    elif key in URLS:
        for part in URL_PART.findall(value):
            if "://" in part:
                yield part
            elif re.search(r"\d", re.sub("%[0-9A-F]{2}", "", part)):
                yield from constants(NUMBERED.fullmatch(part))
            else:
                yield None if PROSE_IN_URL.fullmatch(part) else part
    else:
        yield from constants(PATTERNS[key].fullmatch(value) if key in PATTERNS else None)


def json_constants(key: str, value: Any) -> Iterator[str | None]:
    """Canonical JSON in pieces, with None in place of whatever differs between findings."""
    if isinstance(value, dict):
        for index, name in enumerate(sorted(value)):
            yield ("," if index else "{") + f'"{name}":'
            yield from json_constants(name, value[name])
        yield "}" if value else "{}"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield "," if index else "["
            yield from json_constants(key, item)
        yield "]"
    elif isinstance(value, str):
        yield '"'
        yield from string_constants(key, value)
        yield '"'
    else:
        yield json.dumps(value)


def runs(content: dict[str, Any]) -> Iterator[Run]:
    """Splits at None; punctuation goes with the text after it."""
    run: list[str] = []
    atom = ""
    for piece in [*json_constants("", content), None]:
        atom += piece or ""
        if atom and (piece is None or re.search(r"\w\w", atom)):
            run.append(atom)
            atom = ""
        if piece is None and run:
            yield tuple(run)
            run = []
