"""Makes Lambda packages of binaries."""

import hashlib
import io
import shutil
import subprocess
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory


def digest(binary: Path) -> str:
    """Returns the hash that names this version of the binary."""
    return hashlib.sha256(binary.read_bytes()).hexdigest()


def package(binary: Path) -> bytes:
    """Zips the binary as `bootstrap`, uncompressed: compressing costs more than it saves here."""
    executable = zipfile.ZipInfo("bootstrap")
    executable.external_attr = 0o755 << 16
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr(executable, _without_debug_information(binary))
    return archive.getvalue()


def _without_debug_information(binary: Path) -> bytes:
    """Strips debug information, four fifths of the binary: the server keeps every function in memory."""
    if shutil.which("strip") is None:
        return binary.read_bytes()
    with TemporaryDirectory() as directory:
        stripped = Path(directory) / binary.name
        done = subprocess.run(["strip", "-S", "-o", str(stripped), str(binary)], capture_output=True)
        return (stripped if done.returncode == 0 else binary).read_bytes()
