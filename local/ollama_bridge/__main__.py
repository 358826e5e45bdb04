"""Command line of the bridge: start, say where it serves, end cleanly on SIGTERM or Ctrl-C."""

import argparse
import importlib.util
import os
import signal
import sys
import threading
from pathlib import Path

if not __package__:  # started as `python local/ollama_bridge`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    __package__ = "ollama_bridge"

from .gguf import GgufError, read_gguf  # noqa: E402
from .names import MODEL_FILE, MODEL_NAME, MODEL_PACKAGE, MODEL_SHA256, VERSION  # noqa: E402
from .runner import Runner  # noqa: E402
from .scheduler import Scheduler  # noqa: E402
from .server import Bridge  # noqa: E402

_SHUTDOWN_GRACE = 3.0  # seconds for running requests to send their last line


def main() -> int:
    """Serves until told to stop; the exit status is 0 then, 1 when serving cannot start."""
    arguments = _parse_arguments()
    try:
        _require_llama()
        model = read_gguf(_model_path(), MODEL_SHA256)
        scheduler = Scheduler(
            lambda launch, gone: Runner(model.path, launch, arguments.threads, gone), arguments.max_queue
        )
        bridge = Bridge(arguments.port, model, scheduler, arguments.max_queue, arguments.request_timeout)
    except (OSError, GgufError, ImportError) as error:
        print(f"ollama_bridge: {error}", file=sys.stderr)
        return 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    serving = threading.Thread(target=bridge.serve_forever, kwargs={"poll_interval": 0.1})
    serving.start()
    print(f"Ollama-API bridge {VERSION} (not Ollama) serves {MODEL_NAME} on {bridge.url}", file=sys.stderr, flush=True)
    if arguments.port_file is not None:
        _write_whole(arguments.port_file, bridge.url + "\n")
    try:
        stop.wait()
    finally:
        bridge.shutdown()
        scheduler.close()
        bridge.wait_until_idle(_SHUTDOWN_GRACE)
        bridge.server_close()
        serving.join()
        if arguments.port_file is not None:
            arguments.port_file.unlink(missing_ok=True)
    return 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ollama_bridge", description=__doc__)
    parser.add_argument("--host", choices=["127.0.0.1"], default="127.0.0.1", help="the loopback address, always")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) means any free one")
    parser.add_argument("--port-file", type=Path, help="gets the URL, alone on one line, once the bridge serves")
    parser.add_argument("--threads", type=int, default=1, help="more than one is slower on a busy machine")
    parser.add_argument("--max-queue", type=int, default=64, help="requests that wait; the next one gets 503")
    parser.add_argument("--request-timeout", type=float, default=600.0, help="seconds for one request, queue included")
    arguments = parser.parse_args()
    if arguments.threads < 1 or arguments.max_queue < 0 or not 0 <= arguments.port < 65536:
        parser.error("--threads starts at 1, --max-queue at 0, --port ends at 65535")
    return arguments


def _require_llama() -> None:
    if importlib.util.find_spec("xllamacpp") is None:
        raise ImportError("xllamacpp is not installed: run local/ollama_bridge/install.py and use its Python")


def _model_path() -> Path:
    # Found, not imported: importing it would need `llm` and `llama-cpp-python`.
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{MODEL_PACKAGE} is not installed: run local/ollama_bridge/install.py and use its Python")
    return Path(spec.submodule_search_locations[0]) / MODEL_FILE


def _write_whole(path: Path, text: str) -> None:
    """Writes the file so that a reader sees the whole line or no file."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
