"""The child process: llama.cpp's own HTTP server, ended with its parent.

Run as a script. The first line on standard input is the launch configuration;
standard input then stays open, and its end (the parent unloaded us, or died,
even by SIGKILL) ends this process. A pipe rather than PR_SET_PDEATHSIG: that
signal fires when the *thread* that started the child ends, and ours are
request threads.
"""

import json
import os
import sys


def main() -> None:
    """Loads the model, report the address, wait for the parent."""
    config = json.loads(sys.stdin.buffer.readline())
    # llama.cpp may print on standard output, which is the report's channel.
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = config["model_path"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [config["api_key"]]
    params.n_ctx = config["num_ctx"]
    params.n_parallel = 1
    params.ctx_shift = config["shift"]
    params.cpuparams.n_threads = config["threads"]
    params.cpuparams_batch.n_threads = config["threads"]
    # llama.cpp looks for a cancelled request between batches; at 2048, its
    # default, one thread is deaf for 15 s. Smaller batches cost nothing here.
    params.n_batch = params.n_ubatch = 128
    params.n_threads_http = 2
    params.cache_ram_mib = 0  # the default keeps up to 8 GiB of old prompts
    params.sse_ping_interval = 1  # lets the parent notice a gone client during prompt evaluation
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = 1  # errors only
    server = xllamacpp.Server(params)

    report.write(json.dumps({"url": server.listening_address}) + "\n")
    report.flush()
    sys.stdin.buffer.read()
    os._exit(0)  # llama.cpp's destructors have nothing to save


if __name__ == "__main__":
    main()
