"""A chat or generate request, parsed and checked: types, defaults and error texts as Ollama's."""

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from .errors import ApiError
from .runner import Launch

DEFAULT_KEEP_ALIVE = 300.0
DEFAULT_NUM_CTX = 4096

# Ollama's defaults, sent always: llama.cpp's own differ (top_p 0.95, min_p 0.05).
_DEFAULTS: dict[str, Any] = {
    "num_ctx": DEFAULT_NUM_CTX, "num_predict": -1, "num_keep": 4, "seed": -1,
    "temperature": 0.8, "top_k": 40, "top_p": 0.9, "min_p": 0.0, "typical_p": 1.0,
    "repeat_last_n": 64, "repeat_penalty": 1.0, "presence_penalty": 0.0,
    "frequency_penalty": 0.0, "stop": [],
}  # fmt: skip
# Of the right type in a request, and without effect here: the operator sets the threads.
_IGNORED: dict[str, Any] = {"num_batch": 0, "num_gpu": 0, "main_gpu": 0, "num_thread": 0, "use_mmap": True}
_MAX_INT = 2**31 - 1
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_GO_PART = re.compile(r"(\d+\.?\d*|\.\d+)([a-zµμ]*)")


@dataclass(frozen=True)
class Request:
    """What both endpoints have in common; `messages` is empty for a raw prompt."""

    model: str
    messages: list[dict[str, str]]
    raw_prompt: str | None
    options: dict[str, Any]
    json_schema: dict[str, Any] | None
    stream: bool
    truncate: bool
    launch: Launch
    keep_alive: float  # seconds, infinite when negative on the wire
    explicit_keep_alive: bool

    def is_empty(self) -> bool:
        """Tells whether the client only wants the model loaded or unloaded."""
        return not self.messages and not self.raw_prompt


def parse_chat(body: dict[str, Any], model: str, max_ctx: int) -> Request:
    """Parses the body of POST /api/chat."""
    messages = []
    for message in _typed(body, "messages", list, []):
        if not isinstance(message, dict):
            raise _wrong_type(message, "messages", "api.Message")
        _refuse(message, "images", model)
        messages.append({"role": _typed(message, "role", str, ""), "content": _typed(message, "content", str, "")})
    return _parse(body, model, max_ctx, messages, None)


def parse_generate(body: dict[str, Any], model: str, max_ctx: int) -> Request:
    """Parses the body of POST /api/generate."""
    for field in ("images", "suffix", "template", "context"):
        _refuse(body, field, model)
    prompt, system = _typed(body, "prompt", str, ""), _typed(body, "system", str, "")
    if _typed(body, "raw", bool, False):
        return _parse(body, model, max_ctx, [], prompt)
    messages = [{"role": "system", "content": system}] if system and prompt else []
    if prompt:
        messages.append({"role": "user", "content": prompt})
    return _parse(body, model, max_ctx, messages, None)


def _parse(
    body: dict[str, Any], model: str, max_ctx: int, messages: list[dict[str, str]], raw_prompt: str | None
) -> Request:
    for field in ("tools", "logprobs", "top_logprobs"):
        _refuse(body, field, model)
    if body.get("think") not in (None, False):
        raise ApiError(400, f'"{model}" does not support thinking')
    options = _parse_options(_typed(body, "options", dict, {}))
    options["num_ctx"] = max(4, min(options["num_ctx"], max_ctx))
    return Request(
        model=model,
        messages=messages,
        raw_prompt=raw_prompt,
        options=options,
        json_schema=_parse_format(body.get("format")),
        stream=_typed(body, "stream", bool, True),
        truncate=_typed(body, "truncate", bool, True),
        launch=Launch(options["num_ctx"], _typed(body, "shift", bool, True)),
        keep_alive=_parse_keep_alive(body.get("keep_alive")),
        explicit_keep_alive=body.get("keep_alive") is not None,
    )


def _parse_options(given: dict[str, Any]) -> dict[str, Any]:
    options = dict(_DEFAULTS)
    for name, value in given.items():
        default = _DEFAULTS.get(name, _IGNORED.get(name))
        if default is None or value is None:
            continue  # Ollama, too, ignores an option it does not know
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise ApiError(500, f'option "{name}" must be of type boolean')
        elif isinstance(default, int):
            if not number:
                raise ApiError(500, f'option "{name}" must be of type integer')
            value = max(-_MAX_INT, min(int(value), _MAX_INT))
        elif isinstance(default, float):
            if not number:
                raise ApiError(500, f'option "{name}" must be of type float32')
            value = float(value)
        elif not isinstance(value, list):
            raise ApiError(500, f'option "{name}" must be of type array')
        elif not all(isinstance(item, str) for item in value):
            raise ApiError(500, f'option "{name}" must be of an array of strings')
        options[name] = value
    return {name: options[name] for name in _DEFAULTS}


def _parse_format(value: Any) -> dict[str, Any] | None:
    if value is None or value == "":
        return None
    if value == "json":
        return {"type": "object"}
    if isinstance(value, dict):
        return value
    quoted = json.dumps(json.dumps(value))
    raise ApiError(500, f'invalid format: {quoted}; expected "json" or a valid JSON Schema object')


def _parse_keep_alive(value: Any) -> float:
    if value is None:
        return DEFAULT_KEEP_ALIVE
    if isinstance(value, str):
        seconds = _parse_go_duration(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise ApiError(400, f"Unsupported type: '{type(value).__name__}'")
    return math.inf if seconds < 0 else seconds


def _parse_go_duration(text: str) -> float:
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    total, position = 0.0, 0
    while match := _GO_PART.match(rest, position):
        if match[2] == "":
            raise ApiError(400, f'time: missing unit in duration "{text}"')
        if match[2] not in _GO_UNITS:
            raise ApiError(400, f'time: unknown unit "{match[2]}" in duration "{text}"')
        total += float(match[1]) * _GO_UNITS[match[2]]
        position = match.end()
    if position == 0 or position != len(rest):
        raise ApiError(400, f'time: invalid duration "{text}"')
    return sign * total


def _typed(body: dict[str, Any], field: str, kind: type, default: Any) -> Any:
    """Returns the field, or the default when it is absent or null (as Go's decoder)."""
    value = body.get(field)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise _wrong_type(value, field, {"str": "string", "list": "slice", "dict": "map"}.get(kind.__name__, "bool"))
    return value


def _wrong_type(value: Any, field: str, kind: str) -> ApiError:
    names = {"str": "string", "list": "array", "dict": "object", "bool": "bool"}
    given = names.get(type(value).__name__, "number")
    return ApiError(400, f"json: cannot unmarshal {given} into Go struct field .{field} of type {kind}")


def _refuse(body: dict[str, Any], field: str, model: str) -> None:
    """Refuses a field that the bridge lacks: ignoring it would answer another question."""
    if body.get(field):
        raise ApiError(400, f'"{model}" does not support {field} (development bridge, not Ollama)')
