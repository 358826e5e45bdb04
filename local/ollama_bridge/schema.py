"""A JSON schema as llama.cpp itself would read it, written for LLGuidance, which xllamacpp uses instead.

Two differences matter. llama.cpp's converter closes an object whose schema
says nothing of `additionalProperties`; LLGuidance leaves it open, as the JSON
Schema standard does. And llama.cpp allows little whitespace between tokens,
LLGuidance any amount, which a small model fills with line breaks up to
`num_predict`; the nearest setting LLGuidance has is none beyond one space.
"""

from typing import Any

_COMPACT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_SCHEMAS = ("items", "not")
_LISTS = ("anyOf", "oneOf", "prefixItems")  # not allOf: its parts describe one object together
_MAPS = ("properties", "$defs", "definitions")


def for_llguidance(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema with both differences made explicit; what the client said stays."""
    closed: dict[str, Any] = _close(schema)
    return {"x-guidance": _COMPACT, **closed}


def _close(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    closed = dict(schema)
    for key, value in schema.items():
        if key in _SCHEMAS:
            closed[key] = _close(value)
        elif key in _LISTS and isinstance(value, list):
            closed[key] = [_close(item) for item in value]
        elif key in _MAPS and isinstance(value, dict):
            closed[key] = {name: _close(item) for name, item in value.items()}
    if "properties" in schema and "allOf" not in schema:
        closed.setdefault("additionalProperties", False)
    return closed
