"""Build the zstd dictionary that Sirius compresses finding items with.

    pip install pyzstd==0.20.0          # has zstd 1.5.7 inside; Python 3.11 or newer
    python build.py CORPUS OUTPUT       # write the dictionary
    python build.py CORPUS --measure    # print what it saves, also on unseen reports

What may be in it is decided in facts.py, why is told in README.md. The same corpus and
the same pyzstd give the same bytes.
"""

import argparse
import heapq
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import pyzstd
from pyzstd import CParameter

from facts import Finding, Run, read_corpus

LEVEL = 4
CONTENT_BYTES = 32_000  # zstd adds about 150 bytes of statistics
SAMPLES_PER_FAMILY = 400  # for the statistics: no report may dominate them

# A fact counts only if this many vulnerabilities and this many unrelated reports share it.
MIN_VULNERABILITIES = 3
MIN_FAMILIES = 3
MAX_SLICE = 5  # atoms in one dictionary entry

# Rough prices in bytes: of a literal, of a match, and of breaking a match in two.
LITERAL, MATCH, JOINT = 0.75, 2.4, 2.3

FOLDS = 5
BLOCK = 250
WRITE_UNIT = 1024
DICTIONARY_MAGIC = b"\x37\xa4\x30\xec"
SEVERITIES = ["CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN"]

Cost = list[int]  # write units, one number per finding


def count_slices(findings: Iterable[Finding]) -> dict[Run, int]:
    """For each slice of a run that enough reports share: in how many vulnerabilities it occurs."""
    seen: dict[Run, set[tuple[str, str]]] = defaultdict(set)
    for finding in findings:
        for run in finding.facts:
            seen[run].add((finding.vulnerability, finding.family))
    slices: dict[Run, set[tuple[str, str]]] = defaultdict(set)
    for run, where in seen.items():
        for start in range(len(run)):
            for end in range(start + 1, min(len(run), start + MAX_SLICE) + 1):
                slices[run[start:end]] |= where
    counts = {}
    for piece, where in slices.items():
        vulnerabilities, families = ({pair[side] for pair in where} for side in (0, 1))
        if len(vulnerabilities) >= MIN_VULNERABILITIES and len(families) >= MIN_FAMILIES:
            counts[piece] = len(vulnerabilities)
    return counts


def select(counts: dict[Run, int], size: int) -> list[str]:
    """Greedily the slices that save most per byte; what is in already saves nothing again."""
    covered: set[Run] = set()

    def atoms_and_joints(piece: Run) -> set[Run]:
        return {piece[i:i + width] for width in (1, 2) for i in range(len(piece) - width + 1)}

    def saving(piece: Run) -> float:
        total = math.fsum(
            counts[part] * (JOINT if len(part) == 2 else max(0.0, len(part[0]) * LITERAL - MATCH))
            for part in atoms_and_joints(piece) - covered)
        return total / len("".join(piece).encode())

    queue = [(-saving(piece), piece) for piece in counts]
    heapq.heapify(queue)
    chosen: list[str] = []
    while queue:
        piece = heapq.heappop(queue)[1]
        now = saving(piece)
        if now <= 0:
            continue
        if queue and now < -queue[0][0]:
            heapq.heappush(queue, (-now, piece))
            continue
        entry = "".join(piece)
        if len(entry.encode()) <= size:
            chosen.append(entry)
            covered |= atoms_and_joints(piece)
            size -= len(entry.encode())
    return chosen


def build(findings: list[Finding], statistics: bool = True) -> bytes:
    best_first = select(count_slices(findings), CONTENT_BYTES)
    # Words by alphabet, so that they cannot form sentences. The end is the cheapest place to
    # point at, so the best of the other facts goes last.
    words = sorted(entry for entry in best_first if entry.strip().isalpha())
    others = [entry for entry in reversed(best_first) if not entry.strip().isalpha()]
    content = "".join(words + others).encode()
    if not statistics:
        return content
    samples: dict[str, dict[str, bytes]] = defaultdict(dict)
    for finding in findings:
        if len(samples[finding.family]) < SAMPLES_PER_FAMILY:
            samples[finding.family].setdefault(finding.vulnerability, finding.text)
    texts = [text for family in samples.values() for text in family.values()]
    raw = pyzstd.ZstdDict(content, is_raw=True)
    return pyzstd.finalize_dict(raw, texts, len(content) + 1024, LEVEL).dict_content


# --- measuring ----------------------------------------------------------------------------

def write_units(finding: Finding, blob_bytes: int) -> int:
    """DynamoDB charges names and values: pk, sk, v, p, f (a boolean) and z (the blob)."""
    keys = len("pk" "SCAN#123456#12" "sk" "FINDING#000123")
    fields = len(f"v{finding.vulnerability}p{finding.package}".encode()) + len("f") + 1 + len("z")
    return math.ceil((keys + fields + blob_bytes) / WRITE_UNIT)


def compressor(dictionary: bytes | None, level: int) -> Callable[[bytes], bytes]:
    options: dict[int, int] = {CParameter.compressionLevel: level, CParameter.contentSizeFlag: 1,
                               CParameter.checksumFlag: 0, CParameter.dictIDFlag: 0}
    prepared = None
    if dictionary:
        is_raw = not dictionary.startswith(DICTIONARY_MAGIC)
        prepared = pyzstd.ZstdDict(dictionary, is_raw=is_raw).as_digested_dict
    zstd = pyzstd.ZstdCompressor(options, prepared)
    return lambda text: zstd.compress(text, pyzstd.ZstdCompressor.FLUSH_FRAME)


def cost(findings: list[Finding], dictionary: bytes | None, level: int = LEVEL) -> Cost:
    compress = compressor(dictionary, level)
    return [write_units(finding, len(compress(finding.text))) for finding in findings]


Fold = tuple[list[Finding], bytes]  # findings, and the dictionary of everything but them


def held_out(findings: list[Finding], group: Callable[[Finding], str], statistics: bool = True) -> list[Fold]:
    """Cross-validation in FOLDS parts of about equal size that never split a group."""
    loads, fold_of = [0] * FOLDS, {}
    for name, size in sorted(Counter(map(group, findings)).items(), key=lambda item: (-item[1], item[0])):
        fold_of[name] = loads.index(min(loads))
        loads[fold_of[name]] += size
    return [([f for f in findings if fold_of[group(f)] == fold],
             build([f for f in findings if fold_of[group(f)] != fold], statistics))
            for fold in range(FOLDS)]


def held_out_cost(folds: list[Fold], level: int = LEVEL) -> Cost:
    return [units for findings, dictionary in folds for units in cost(findings, dictionary, level)]


def heaviest_block(findings: list[Finding], units: Cost) -> int:
    """Most write units of BLOCK neighbours, in the order in which a report is stored."""
    reports: dict[str, list[tuple[int, str, str, int]]] = defaultdict(list)
    for f, price in zip(findings, units, strict=True):
        reports[f.report].append((SEVERITIES.index(f.severity), f.vulnerability, f.package, price))
    prices = [[row[-1] for row in sorted(rows)] for rows in reports.values()]
    return max(sum(report[i:i + BLOCK]) for report in prices for i in range(len(report)))


def show(name: str, units: Cost) -> None:
    shares = [units.count(1), units.count(2), sum(price > 2 for price in units)]
    percent = "".join(f"{share / len(units):9.2%}" for share in shares)
    print(f"{name:42}{len(units):6}{sum(units) / len(units):9.4f}{percent}{max(units):5}")


def measure(findings: list[Finding]) -> None:
    real = [f for f in findings if f.provenance == "real"]
    dictionary = build(real)
    by_family = held_out(real, lambda f: f.family)
    by_source = held_out(real, lambda f: f.report.split("/")[0])
    bare = held_out(real, lambda f: f.family, statistics=False)

    print(f"{'write units per finding':42}{'items':>6}{'average':>9}{'1':>9}{'2':>9}{'3+':>9}{'max':>5}")
    show("JSON text", [write_units(f, len(f.text)) for f in real])
    show(f"level {LEVEL}, no dictionary", cost(real, None))
    show("facts without statistics", cost(real, build(real, statistics=False)))
    show("dictionary", cost(real, dictionary))
    show("held out by family, without statistics", held_out_cost(bare))
    show("held out by family", held_out_cost(by_family))
    show("held out by source (corpus directory)", held_out_cost(by_source))
    for kind in sorted({f.provenance for f in findings} - {"real"}):
        show(f"dictionary, {kind} reports", cost([f for f in findings if f.provenance == kind], dictionary))
    print(f"heaviest {BLOCK} findings in a row: {heaviest_block(real, cost(real, dictionary))} write units")

    print(f"\n{'level':>5}{'average':>9}{'held out':>10}{'blob bytes':>12}{'us/finding':>12}")
    for level in range(1, 10):
        compress, start = compressor(dictionary, level), time.perf_counter()
        blobs = [len(compress(f.text)) for f in real]
        micros = (time.perf_counter() - start) / len(real) * 1e6
        average = sum(map(write_units, real, blobs)) / len(real)
        unseen = sum(held_out_cost(by_family, level)) / len(real)
        print(f"{level:5}{average:9.4f}{unseen:10.4f}{sum(blobs) / len(real):12.1f}{micros:12.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build or measure the dictionary for finding items.")
    parser.add_argument("corpus", type=Path)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("output", type=Path, nargs="?")
    target.add_argument("--measure", action="store_true")
    arguments = parser.parse_args()
    findings = read_corpus(arguments.corpus)
    if arguments.measure:
        measure(findings)
    else:
        arguments.output.write_bytes(build([f for f in findings if f.provenance == "real"]))


if __name__ == "__main__":
    main()
