"""Starts a stack: chooses a model, builds, starts missing processes, deploys, writes its addresses."""

import json
import os
import shlex
from dataclasses import dataclass

from . import build, deploy, lock, model, private, serve, template
from .console import step
from .deploy import Deployment
from .paths import ROOT, StateDirectory
from .serve import Server


# Nothing here asks the world's sources about anything, unless it is told to.
_SOURCES = {"EnrichmentSources": f"dir:{ROOT / 'local' / 'sample' / 'enrichment'}"}


@dataclass(frozen=True)
class Stack:
    """A running server and what is deployed to it."""

    server: Server
    deployment: Deployment
    ollama_url: str
    """Empty if findings cannot be analysed."""
    ollama_model: str

    def environment(self) -> dict[str, str]:
        """Returns the variables that a program needs to reach the stack."""
        return {
            **self.server.environment(),
            "TABLE_NAME": self.deployment.table,
            "BUCKET_NAME": self.deployment.outputs["BucketName"],
            "SIRIUS_API_URL": self.deployment.api_url,
            "OLLAMA_URL": self.ollama_url,
            "OLLAMA_MODEL": self.ollama_model,
        }


def up(state: StateDirectory, parameters: dict[str, str], wish: model.Wish) -> Stack:
    """Makes the stack of a state directory match the working tree; quick when it already does."""
    with lock.hold(state.changing):
        source = template.read()
        # Before the build, which may take minutes: a run that needs a model and has none ends here.
        parameters = {**_SOURCES, **model.choose(state, wish, parameters), **parameters}
        binaries = build.build([function.binary for function in template.functions(source)])
        server = _server(state)
        _use(server)
        _allow_origins(state, template.value(source, parameters, "CorsAllowedOrigins"))
        deployment = deploy.deploy(state, server, source, binaries, parameters)
        ollama_url = template.value(source, parameters, "OllamaUrl")
        ollama_model = template.value(source, parameters, "OllamaModel") if ollama_url else ""
        stack = Stack(server, deployment, ollama_url, ollama_model)
        _write_down(state, stack)
    return stack


def _server(state: StateDirectory) -> Server:
    server = serve.running(state)
    if server is not None:
        return server
    serve.stop(state)  # what a server that died has left behind
    step("starting ministack, which plays AWS")
    server = serve.start(state)
    step(f"ministack serves {server.endpoint} (process {server.pid}, log {state.log})")
    return server


def _use(server: Server) -> None:
    """Points this process at the server, whatever AWS account the shell points to."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(server.environment())


def _allow_origins(state: StateDirectory, listed: str) -> None:
    """Lets the pages of `CorsAllowedOrigins` through the gate."""
    state.origins.write_text(json.dumps([origin.strip() for origin in listed.split(",") if origin.strip()]))


def _write_down(state: StateDirectory, stack: Stack) -> None:
    private.write(state.env, _exports(stack.environment()))
    state.functions_env.write_text(_exports(stack.deployment.function_variables))
    state.api_url.write_text(stack.deployment.api_url + "\n")
    private.write(state.curl, stack.server.curl_configuration())


def _exports(variables: dict[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
