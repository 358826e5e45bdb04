"""Chooses the model that explains findings: the Ollama of $OLLAMA_URL, the bundled one, or none."""

import http.client
import json
import os
import urllib.request
from enum import Enum
from urllib.parse import urlsplit

from . import bridge
from .console import Failure, step
from .paths import StateDirectory

_ANSWER_SECONDS = 2.0


class Wish(Enum):
    """How much a stack needs a model."""

    NONE = "none"
    IF_POSSIBLE = "if possible"
    NEEDED = "needed"


def choose(state: StateDirectory, wish: Wish, parameters: dict[str, str]) -> dict[str, str]:
    """Makes sure that there is a model as wished; the parameters of template.yaml that point to it."""
    if "OllamaUrl" in parameters:
        bridge.stop(state)
        return {}
    if wish is Wish.NONE:
        bridge.stop(state)
        step("no model: findings cannot be analysed")
        return {"OllamaUrl": ""}
    return _real(state) or _bundled(state, wish)


def _real(state: StateDirectory) -> dict[str, str]:
    """Returns the Ollama of the environment, if there is one and it answers."""
    url = os.environ.get("OLLAMA_URL", "").strip().rstrip("/")
    # A shell that has sourced .local/env names the bundled bridge here.
    if not url or url == bridge.running(state):
        return {}
    try:
        version = _version(url)
    except (OSError, ValueError, http.client.HTTPException) as error:
        step(f"OLLAMA_URL={url} does not answer GET /api/version ({error})")
        return {}
    bridge.stop(state)
    model = os.environ.get("OLLAMA_MODEL", "").strip()
    step(f"findings are analysed by Ollama {version} at {url}" + (f", model {model}" if model else ""))
    return {"OllamaUrl": url, **({"OllamaModel": model} if model else {})}


def _bundled(state: StateDirectory, wish: Wish) -> dict[str, str]:
    """Returns the bundled model, behind a bridge that is started unless it runs."""
    url = bridge.running(state)
    try:
        url = url or bridge.start(state)
    except Failure as failure:
        if wish is Wish.NEEDED:
            raise Failure(f"{failure}\n       To do without a model: local/stack.py run --no-model -- ...") from failure
        step(f"WARNING: findings cannot be analysed: {failure}\n       --no-model does not try.")
        return {"OllamaUrl": ""}
    step(f"findings are analysed by the bundled model {bridge.MODEL} at {url} (log {state.bridge_log})")
    return {"OllamaUrl": url, "OllamaModel": bridge.MODEL}


def _version(url: str) -> str:
    """Asks a host for GET /api/version."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("not an http or https URL")
    # As the functions do it: no proxy, no redirect.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
    with opener.open(f"{url}/api/version", timeout=_ANSWER_SECONDS) as answer:
        found = json.loads(answer.read(65536))
    if not (isinstance(found, dict) and isinstance(found.get("version"), str)):
        raise ValueError("no version in its answer")
    version: str = found["version"]
    return version


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Lets a redirect be the error that it is for the functions."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Refuses the redirect."""
