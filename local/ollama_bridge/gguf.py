"""Facts about the model, read from its GGUF file and from nowhere else."""

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MAX_STRING = 1 << 24
# llama.cpp's `llama_ftype`, the values a small CPU model may have.
_QUANTIZATIONS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 32: "BF16",
}  # fmt: skip


class GgufError(Exception):
    """The file is not the GGUF file we expect."""


@dataclass(frozen=True)
class Gguf:
    """One GGUF file: what `/api/tags` and the prompt limits need to know of it."""

    path: Path
    size: int
    sha256: str
    modified_ns: int
    family: str
    parameters: int
    quantization: str
    context_length: int
    adds_bos: bool

    def details(self) -> dict[str, Any]:
        """Returns the `details` object of Ollama's model lists."""
        return {
            "parent_model": "",
            "format": "gguf",
            "family": self.family,
            "families": [self.family],
            "parameter_size": _human(self.parameters),
            "quantization_level": self.quantization,
        }


def read_gguf(path: Path, expected_sha256: str | None = None) -> Gguf:
    """Checks the digest first, so that only a known file is parsed."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        sha256 = digest.hexdigest()
        if expected_sha256 is not None and sha256 != expected_sha256:
            raise GgufError(f"{path}: sha256 is {sha256}, expected {expected_sha256}")
        file.seek(0)
        try:
            metadata, parameters = _read_header(file)
        except (struct.error, KeyError, UnicodeDecodeError) as error:
            raise GgufError(f"{path}: not a readable GGUF file: {error!r}") from error
    family = str(metadata.get("general.architecture", "unknown"))
    stat = path.stat()
    return Gguf(
        path=path,
        size=stat.st_size,
        sha256=sha256,
        modified_ns=stat.st_mtime_ns,
        family=family,
        parameters=parameters,
        quantization=_QUANTIZATIONS.get(metadata.get("general.file_type", -1), "unknown"),
        context_length=int(metadata.get(f"{family}.context_length", 2048)),
        adds_bos=bool(metadata.get("tokenizer.ggml.add_bos_token", False)),
    )


def _read_header(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """Returns the metadata, and the number of parameters summed over all tensors."""
    if file.read(4) != b"GGUF":
        raise GgufError("no GGUF magic")
    version, tensor_count, entry_count = _scalar(file, "I"), _scalar(file, "Q"), _scalar(file, "Q")
    if version not in (2, 3):
        raise GgufError(f"GGUF version {version} is not supported")
    metadata = {}
    for _ in range(entry_count):
        key = _string(file)
        metadata[key] = _value(file, _scalar(file, "I"))
    parameters = 0
    for _ in range(tensor_count):
        _string(file)  # the tensor's name
        elements = 1
        for _ in range(_scalar(file, "I")):
            elements *= _scalar(file, "Q")
        _scalar(file, "I")  # its type
        _scalar(file, "Q")  # its offset
        parameters += elements
    return metadata, parameters


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        item = _scalar(file, "I")
        return [_value(file, item) for _ in range(_scalar(file, "Q"))]
    return _scalar(file, _SCALARS[kind])


def _string(file: BinaryIO) -> str:
    length = _scalar(file, "Q")
    if length > _MAX_STRING:
        raise GgufError(f"a string of {length} bytes")
    return file.read(length).decode("utf-8")


def _scalar(file: BinaryIO, code: str) -> Any:
    layout = "<" + code
    return struct.unpack(layout, file.read(struct.calcsize(layout)))[0]


def _human(count: int) -> str:
    """Formats a parameter count: 134515008 → `134.52M`, as Ollama prints parameter counts."""
    for unit, name in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= unit:
            return f"{count / unit:.2f}".rstrip("0").rstrip(".") + name
    return str(count)
