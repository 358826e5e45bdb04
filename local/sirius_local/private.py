"""Writes files that only their owner may read."""

import os
from pathlib import Path


def write(file: Path, text: str) -> None:
    """Writes the text; the file is the owner's alone from its first byte on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        os.fchmod(descriptor, 0o600)
        opened.write(text)
