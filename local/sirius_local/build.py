"""Builds the functions as ordinary binaries of this machine: no cargo-lambda, no cross-compiler."""

import json
import shutil
import subprocess
from pathlib import Path

from .console import Failure, step
from .paths import ROOT

PROFILE = "local"


def build(binaries: list[str], profile: str = PROFILE) -> dict[str, Path]:
    """Builds the packages with one cargo call and returns where each one's binary is."""
    require("cargo", "Rust is missing: https://rustup.rs installs it")
    require("cc", "a C compiler is missing: Rust links with it (Debian and Ubuntu: apt install gcc)")
    step(f"building {len(binaries)} functions: cargo build --profile {profile}")
    command = ["cargo", "build", "--profile", profile, "--message-format", "json-render-diagnostics"]
    for binary in binaries:
        command += ["--package", binary]
    # Progress and errors go straight to the terminal; only the list of artifacts comes to us.
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        raise Failure("cargo build failed, see above")
    executables = _executables(built.stdout)
    missing = [binary for binary in binaries if binary not in executables]
    if missing:
        raise Failure(f"cargo built no binary called {', '.join(missing)}: template.yaml and functions/ disagree")
    return {binary: executables[binary] for binary in binaries}


def require(program: str, hint: str) -> None:
    """Fails with the hint if there is no such program."""
    if shutil.which(program) is None:
        raise Failure(hint)


def _executables(messages: str) -> dict[str, Path]:
    """Finds the binaries in cargo's messages."""
    found = {}
    for line in messages.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            found[message["target"]["name"]] = Path(message["executable"])
    return found
