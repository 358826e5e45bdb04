"""What a script would do with the reports of a folder, timed.

Each line on standard input asks for one round over all reports: `rows` or `items`. The answer is the
CPU seconds and the findings it took. The files are read before anything is timed. The garbage
collector is left as Python sets it.
"""

import hashlib
import json
import sys
import time
import zlib
from pathlib import Path


def rows(report: bytes) -> list[dict]:
    """json.loads, then one flat row for each finding."""
    return [row(result, vulnerability) for result, vulnerability in findings(json.loads(report))]


def items(report: bytes) -> list[bytes]:
    """What Sirius does, as a script would: a hash of the sorted text, and each finding compressed.

    zlib's fastest level stands for zstd, which Python has only since 3.14.
    """
    document = json.loads(report)
    hashlib.sha256(sorted_text(document)).digest()
    return [
        zlib.compress(sorted_text([result["Target"], result.get("Class"), result.get("Type"), vulnerability]), 1)
        for result, vulnerability in findings(document)
    ]


def findings(document: dict | list) -> list[tuple[dict, dict]]:
    """Every vulnerability of a report, with the result it is in."""
    results = document if isinstance(document, list) else document.get("Results") or []
    return [(result, vulnerability) for result in results for vulnerability in result.get("Vulnerabilities") or []]


def sorted_text(value: object) -> bytes:
    """JSON without white space, keys in order."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def row(result: dict, vulnerability: dict) -> dict:
    """One finding."""
    return {
        "target": result["Target"],
        "class": result.get("Class"),
        "type": result.get("Type"),
        "vulnerability_id": vulnerability.get("VulnerabilityID"),
        "package": vulnerability.get("PkgName"),
        "package_id": vulnerability.get("PkgID"),
        "package_path": vulnerability.get("PkgPath"),
        "purl": (vulnerability.get("PkgIdentifier") or {}).get("PURL"),
        "installed_version": vulnerability.get("InstalledVersion"),
        "fixed_version": vulnerability.get("FixedVersion"),
        "status": vulnerability.get("Status"),
        "severity": vulnerability.get("Severity", "UNKNOWN"),
        "severity_source": vulnerability.get("SeveritySource"),
        "primary_url": vulnerability.get("PrimaryURL"),
        "data_source": vulnerability.get("DataSource"),
        "title": vulnerability.get("Title"),
        "description": vulnerability.get("Description"),
        "cwe_ids": vulnerability.get("CweIDs"),
        "vendor_severity": vulnerability.get("VendorSeverity"),
        "cvss": vulnerability.get("CVSS"),
        "references": vulnerability.get("References"),
        "published": vulnerability.get("PublishedDate"),
        "last_modified": vulnerability.get("LastModifiedDate"),
    }


def main() -> None:
    """Answers each line."""
    reports = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
    jobs = {"rows": rows, "items": items}
    for line in sys.stdin:
        job = jobs[line.strip()]
        start = time.process_time()
        count = 0
        for report in reports:
            count += len(job(report))
        print(time.process_time() - start, count, flush=True)


if __name__ == "__main__":
    main()
