"""Release packages for Lambda: one zip per function, the same bytes for the same binary, and a table of their sizes."""

from __future__ import annotations  # lets a Python that is too old reach the version check

import io
import json
import os
import platform
import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from . import build
from .console import Failure, step
from .install import install
from .paths import ROOT

#: cargo-lambda's names for the architectures, and Rust's.
TARGETS = {"x86-64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}
MACHINES = {"x86_64": "x86-64", "AMD64": "x86-64", "aarch64": "arm64", "arm64": "arm64"}
#: The glibc of `provided.al2023`. Source: https://docs.aws.amazon.com/linux/al2023/ug/compare-with-al2.html
GLIBC = (2, 34)
#: The largest zip of a function that a client waits for: Lambda fetches it at each cold start.
HTTP_LIMIT = 3_500_000
#: Zip files know no time before 1980.
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Function:
    """A program in functions/."""

    name: str
    #: Whether it answers API Gateway.
    http: bool


@dataclass(frozen=True)
class Package:
    """The zip of a function, and how large it and the binary in it are, in bytes."""

    function: Function
    binary: int
    zip: int

    @property
    def too_large(self) -> bool:
        """Tells whether a client would wait for it too long."""
        return self.function.http and self.zip > HTTP_LIMIT


def release(architecture: str | None, names: list[str]) -> None:
    """Builds and zips the functions of these names, or all, into target/package."""
    functions = _chosen(names)
    binaries = _plain(functions) if architecture is None and _is_like_lambda() else _cross(functions, architecture)
    folder = _target() / "package"
    folder.mkdir(parents=True, exist_ok=True)
    packages = []
    for function in functions:
        binary = binaries[function.name]
        _check_glibc(binary)
        archive = folder / f"{function.name}.zip"
        archive.write_bytes(_zip(binary))
        packages.append(Package(function, binary.stat().st_size, archive.stat().st_size))
    step(f"packages for {architecture or _own_architecture()} in {folder}")
    _print(packages)
    too_large = [package.function.name for package in packages if package.too_large]
    if too_large:
        raise Failure(f"larger than {HTTP_LIMIT / 1e6} MB, and answers a client: {', '.join(too_large)}")


def _chosen(names: list[str]) -> list[Function]:
    functions = _functions()
    unknown = set(names) - {function.name for function in functions}
    if unknown:
        raise Failure(f"no function {', '.join(sorted(unknown))} in functions/")
    return [function for function in functions if not names or function.name in names]


def _functions() -> list[Function]:
    """Returns the packages in functions/, as cargo knows them. Those that answer API Gateway use lambda_http."""
    build.require("cargo", "Rust is missing: https://rustup.rs installs it")
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    found = []
    for package in metadata["packages"]:
        if Path(package["manifest_path"]).parent.parent == ROOT / "functions":
            dependencies = {dependency["name"] for dependency in package["dependencies"]}
            found.append(Function(package["name"], "lambda_http" in dependencies))
    return sorted(found, key=lambda function: function.name)


def _is_like_lambda() -> bool:
    """Tells whether cargo alone builds for Lambda here; the needed glibc is checked afterwards."""
    return platform.system() == "Linux" and platform.libc_ver()[0] == "glibc" and platform.machine() in MACHINES


def _own_architecture() -> str:
    if platform.machine() not in MACHINES:
        raise Failure(f"Lambda has no {platform.machine()}: say ARCH=x86-64 or ARCH=arm64")
    return MACHINES[platform.machine()]


def _plain(functions: list[Function]) -> dict[str, Path]:
    """Builds with cargo alone: the same code as from cargo-lambda, without its cross-compiler of 470 MB."""
    return build.build([function.name for function in functions], "release")


def _cross(functions: list[Function], architecture: str | None) -> dict[str, Path]:
    """Builds with cargo-lambda, which links against Lambda's glibc with zig."""
    architecture = architecture or _own_architecture()
    _require_target(TARGETS[architecture])
    home = install("lambda")
    # --skip-target-check: it would have rustup fetch a target. It wants no --target-dir, but takes the variable.
    command = ["cargo", "lambda", "build", "--release", "--skip-target-check", f"--{architecture}"]
    for function in functions:
        command += ["--package", function.name]
    environment = os.environ | {"PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    if subprocess.run(command, cwd=ROOT, env=environment).returncode != 0:
        raise Failure("cargo lambda build failed, see above")
    return {function.name: _target() / "lambda" / function.name / "bootstrap" for function in functions}


def _require_target(target: str) -> None:
    asked = subprocess.run(["rustc", "--print", "sysroot"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    if not (Path(asked.stdout.strip()) / "lib" / "rustlib" / target / "lib").is_dir():
        raise Failure(
            f"Rust's standard library for {target} is not installed.\n"
            f"       `rustup target add {target}` installs it; this command never does by itself"
        )


def _target() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()


def _check_glibc(binary: Path) -> None:
    """Checks the glibc that a binary needs: Lambda's loader refuses a newer one only at the first invocation."""
    if shutil.which("readelf") is None:
        raise Failure("readelf is missing, which tells the glibc a binary needs (Debian and Ubuntu: apt install binutils)")
    command = ["readelf", "--version-info", "--wide", str(binary)]
    read = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | {"LC_ALL": "C"})
    needed = max(_glibc_versions(read.stdout), default=(0, 0))
    if needed > GLIBC:
        raise Failure(
            f"{binary.name} needs glibc {_dotted(needed)}, Lambda's provided.al2023 has {_dotted(GLIBC)}.\n"
            f"       `make package ARCH={_own_architecture()}` builds with cargo-lambda, which links against an older one"
        )


def _glibc_versions(listing: str) -> list[tuple[int, int]]:
    """Returns the versions of glibc that a binary cannot start without; a weak one may be missing."""
    found = re.findall(r"Name: GLIBC_(\d+)\.(\d+)\S*\s+Flags: (.*?)\s+Version:", listing)
    return [(int(major), int(minor)) for major, minor, flags in found if "WEAK" not in flags]


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _zip(binary: Path) -> bytes:
    """Zips one file without a time, so the same binary gives the same zip."""
    entry = zipfile.ZipInfo("bootstrap", EPOCH)
    entry.external_attr = 0o100755 << 16
    entry.create_system = 3  # Unix, wherever this runs: the permissions are Unix's
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr(entry, binary.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return archive.getvalue()


def _print(packages: list[Package]) -> None:
    print(f"{'function':18}{'binary, MB':>12}{'zip, MB':>10}")
    for package in packages:
        remark = "  TOO LARGE" if package.too_large else "" if package.function.http else "  no client waits for it"
        print(f"{package.function.name:18}{package.binary / 1e6:12.2f}{package.zip / 1e6:10.2f}{remark}")
