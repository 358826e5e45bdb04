"""From a parsed request to Ollama's answer objects, by way of llama.cpp's endpoints."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timezone
from typing import Any

from .errors import ApiError
from .gguf import Gguf
from .request import Request
from .runner import Events, Runner
from .scheduler import Scheduler
from .schema import for_llguidance

PROMPT_TOO_LONG = (
    "the prompt is longer than the context length currently available to the model; shorten the "
    "prompt, adjust the context length in settings, or use a model with a longer context length"
)
_MAX_REPEATS = 100
_GENERATION_FACTOR = 10  # num_predict is capped at this many context lengths
_LLAMA_NAMES = {"num_predict": "n_predict", "num_keep": "n_keep"}

Shape = Callable[[str], dict[str, Any]]


def chat_shape(content: str) -> dict[str, Any]:
    """Puts the text where /api/chat has it."""
    return {"message": {"role": "assistant", "content": content}}


def generate_shape(content: str) -> dict[str, Any]:
    """Puts the text where /api/generate has it."""
    return {"response": content}


def answers(
    request: Request, shape: Shape, model: Gguf, scheduler: Scheduler, gone: Callable[[], bool], deadline: float
) -> Events:
    """Returns the answer objects of one request, the last with `done: true`."""
    started = time.monotonic_ns()
    if request.is_empty() and request.explicit_keep_alive and request.keep_alive == 0:
        scheduler.unload()
        yield _answer(request, shape, done_reason="unload")
        return
    with scheduler.lease(request.launch, request.keep_alive, gone, deadline) as lease:
        if request.is_empty():
            yield _answer(request, shape, done_reason="load")
            return
        tokens = _fit(_tokenize(lease.runner, request), request, model)
        events = lease.runner.complete(_completion(request, tokens), gone, deadline)
        with closing(events):
            for event in _without_endless_repeats(events):
                content = event.get("content", "")
                if not event.get("stop"):
                    if content:
                        yield _answer(request, shape, content)
                    continue
                timings = event.get("timings", {})
                metrics = {
                    "total_duration": time.monotonic_ns() - started,
                    "load_duration": lease.load_ns,
                    "prompt_eval_count": len(tokens),
                    "prompt_eval_duration": _nanoseconds(timings.get("prompt_ms", 0.0)),
                    "eval_count": int(timings.get("predicted_n", 0)),
                    "eval_duration": _nanoseconds(timings.get("predicted_ms", 0.0)),
                }
                reason = "length" if event.get("stop_type") == "limit" else "stop"
                yield _answer(request, shape, content, reason, metrics)


def whole(parts: Iterator[dict[str, Any]], shape: Shape) -> dict[str, Any]:
    """Joins all answer objects into the one of `stream: false`."""
    texts, last = [], {}
    for last in parts:
        texts.append(last["message"]["content"] if "message" in last else last["response"])
    return {**last, **shape("".join(texts))}


def rfc3339(ns: int) -> str:
    """Returns a UTC time with nanoseconds, as Go prints one."""
    seconds, fraction = divmod(ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def _tokenize(runner: Runner, request: Request) -> list[int]:
    prompt = request.raw_prompt
    if prompt is None:
        prompt = runner.post("/apply-template", {"messages": request.messages})["prompt"]
    body = {"content": prompt, "add_special": True, "parse_special": True}
    tokens: list[int] = runner.post("/tokenize", body)["tokens"]
    return tokens


def _fit(tokens: list[int], request: Request, model: Gguf) -> list[int]:
    """Returns the prompt as it is, cut in the middle as Ollama cuts it, or refused."""
    num_ctx = request.launch.num_ctx
    if len(tokens) < num_ctx:
        return tokens
    if not request.truncate or not request.launch.shift:
        raise ApiError(400, PROMPT_TOO_LONG)
    keep = request.options["num_keep"]
    keep = len(tokens) if keep < 0 else keep + model.adds_bos
    keep = min(keep, num_ctx - 1)
    tail = num_ctx - max((num_ctx - keep) // 2, 1) - keep
    return tokens[:keep] + tokens[len(tokens) - tail :] if tail > 0 else tokens[:keep]


def _completion(request: Request, tokens: list[int]) -> dict[str, Any]:
    body = {_LLAMA_NAMES.get(name, name): value for name, value in request.options.items() if name != "num_ctx"}
    num_ctx = request.launch.num_ctx
    # llama.cpp rounds its context up to a multiple of 256, so it would not stop at num_ctx by itself.
    limit = _GENERATION_FACTOR * num_ctx if request.launch.shift else num_ctx - len(tokens)
    wanted = request.options["num_predict"]
    body["n_predict"] = limit if wanted < 0 else min(wanted, limit)
    body["prompt"] = tokens
    if request.json_schema is not None:
        body["json_schema"] = for_llguidance(request.json_schema)
    return body


def _without_endless_repeats(events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Stops a model that repeats a token a hundred times, as Ollama does."""
    last, repeats = "", 0
    for event in events:
        text = event.get("content", "").strip()
        last, repeats = text, repeats + 1 if text == last else 0
        if repeats > _MAX_REPEATS:
            raise ApiError(500, "prediction aborted, token repeat limit reached")
        yield event


def _answer(
    request: Request,
    shape: Shape,
    content: str = "",
    done_reason: str | None = None,
    metrics: dict[str, int] | None = None,
) -> dict[str, Any]:
    answer = {"model": request.model, "created_at": rfc3339(time.time_ns()), **shape(content)}
    answer["done"] = done_reason is not None
    if done_reason is not None:
        answer["done_reason"] = done_reason
    # Go's omitempty: a zero is absent.
    answer.update({name: value for name, value in (metrics or {}).items() if value})
    return answer


def _nanoseconds(milliseconds: float) -> int:
    return round(milliseconds * 1e6)
