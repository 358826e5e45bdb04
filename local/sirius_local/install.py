"""Installs pinned Python tools into a venv of the project, once per change of their requirements.

What is wanted stands in `local/requirements/*.in`; uv makes the `*.txt` of them, whose first lines say how.
"""

from __future__ import annotations  # a Python that is too old shall get as far as being told so

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import lock
from .console import Failure, step
from .paths import REQUIREMENTS, TOOLS


def available() -> list[str]:
    """Lists the tool sets: one requirements file each."""
    return sorted(file.stem for file in REQUIREMENTS.glob("*.txt"))


def venv(tools: str) -> Path:
    """Returns the venv of a tool set."""
    return TOOLS / f"{tools}-venv"


def install(tools: str) -> Path:
    """Makes the venv of a tool set match its requirements and returns it."""
    requirements = REQUIREMENTS / f"{tools}.txt"
    home = venv(tools)
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    stamp = home / ".installed"

    with lock.hold(TOOLS / f"{tools}.lock"):  # two `make` at once: the second waits for the first
        if stamp.exists() and stamp.read_text() == wanted:
            return home
        step(f"installing Python packages from {requirements.relative_to(TOOLS.parent)} (once)")
        _create(home)
        _pip_install(home, requirements)
        stamp.write_text(wanted)
    return home


def continue_inside(tools: str) -> None:
    """Replaces this process by the same command under the Python of a tool set's venv."""
    home = install(tools)
    if Path(sys.prefix).resolve() == home.resolve():
        return
    python = str(home / "bin" / "python")
    os.execv(python, [python, *sys.argv])


def _create(home: Path) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        raise Failure(
            f"{sys.executable} cannot make a venv: it lacks ensurepip.\n"
            "       On Debian and Ubuntu: apt install python3-venv"
        )
    shutil.rmtree(home, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", str(home)], capture_output=True, text=True)
    if made.returncode != 0:
        raise Failure(f"python -m venv {home} failed:\n{made.stdout}{made.stderr}")


def _pip_install(home: Path, requirements: Path) -> None:
    pip = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    # What the index serves under a version must be what was pinned. The file has everything that comes along.
    install = [*pip, "install", "--no-deps", "--require-hashes", "--requirement", str(requirements)]
    if subprocess.run(install).returncode != 0:
        raise Failure(f"pip could not install {requirements}: see above (is there a network?)")
