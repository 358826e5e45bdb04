#!/usr/bin/env python3
"""Makes the bridge's own virtual environment: two pinned packages, checked by hash.

Runs with any Python >= 3.10, needs nothing but pip's usual registry, and does
nothing when the environment is already there.
"""

import argparse
import hashlib
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
STAMP = "installed.sha256"  # the file in the environment that says which requirements it meets


def install(directory: Path) -> Path:
    """Makes or completes the environment and returns the path of its Python."""
    directory = directory.absolute()
    python = directory / "bin" / "python"
    stamp = directory / STAMP
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text(encoding="ascii").strip() == wanted:
        return python
    if sys.version_info < (3, 10):
        raise OSError(f"Python >= 3.10 is needed, this is {sys.version.split()[0]}")
    if directory.exists() and any(directory.iterdir()) and not (directory / "pyvenv.cfg").exists():
        raise OSError(f"{directory} is not a virtual environment: not touched")
    # Cleared, so that an installation that was cut off leaves nothing behind.
    venv.create(directory, clear=True, with_pip=True)
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        + ["--only-binary", ":all:", "--require-hashes", "--requirement", str(REQUIREMENTS)],
        check=True,
    )
    stamp.write_text(wanted + "\n", encoding="ascii")
    return python


def main() -> int:
    """Runs the command line: prints the path of the environment's Python."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", type=Path, default=Path(".tools/llm-venv"), help="directory of the environment")
    arguments = parser.parse_args()
    try:
        print(install(arguments.venv))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"install: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
