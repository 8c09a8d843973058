"""`python -m demo`: shows the main job from nothing to an answer, with each step's time."""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

from demo.forward import forwarded
from demo.installation import (
    OPERATOR_NAMESPACE,
    RELEASE,
    SAMPLES,
    apply_model_server,
    create_namespace,
    describe_failure,
    install_operator,
)
from devcluster import Cluster, CommandFailedError, DevCluster, DevClusterError, resolve
from images.build import build
from images.process import ImageError

DEFAULT_NAME = "mizzen"
NAMESPACE = "demo"
AGENT = "hello"
QUESTION = "What is the capital of France?"
ANSWER_SECONDS = 60
IMAGES = ("operator", "runtime", "model-server")

Result = TypeVar("Result")


class Steps:
    """Numbers the steps and says what each took."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0

    def run(self, title: str, work: Callable[[], Result]) -> Result:
        """Do a piece of work between the line that announces it and the line that gives its time."""
        self._done += 1
        print(f"[{self._done}/{self._total}] {title} ...", flush=True)
        begun = time.monotonic()
        result = work()
        print(f"[{self._done}/{self._total}] {title}: {time.monotonic() - begun:.1f} s", flush=True)
        return result


def main() -> int:
    """Run the demo; give the exit status."""
    options = _options()
    try:
        cluster = resolve(options.context, options.registry, options.name)
        _show(cluster, Steps(6 if isinstance(cluster, DevCluster) else 5))
    except (DevClusterError, ImageError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--name", default=DEFAULT_NAME, help="name of the cluster on this machine (default: %(default)s)"
    )
    parser.add_argument("--context", help="use this context of the kubeconfig instead of a cluster on this machine")
    parser.add_argument("--registry", help="with --context: where to push the images, such as registry.example/team")
    return parser.parse_args()


def _show(cluster: Cluster, steps: Steps) -> None:
    begun = time.monotonic()
    if isinstance(cluster, DevCluster):
        steps.run(f"Kubernetes on this machine, named {cluster.name!r}", cluster.up)
    references = steps.run("Images: operator, runtime, model server", lambda: build(IMAGES))
    images = steps.run(
        "Images into the cluster", lambda: {image: cluster.load(reference) for image, reference in references.items()}
    )
    steps.run("helm install: the operator", lambda: install_operator(cluster, images))
    steps.run("kubectl apply: a small language model and an agent", lambda: _apply(cluster, images))
    answer = steps.run("Asking the agent", lambda: _ask(cluster))
    _tell(cluster, answer, time.monotonic() - begun)


def _apply(cluster: Cluster, images: dict[str, str]) -> None:
    create_namespace(cluster, NAMESPACE)
    cluster.kubectl("apply", "--namespace", NAMESPACE, "-f", str(SAMPLES / "hello.yaml"))
    apply_model_server(cluster, images["model-server"], NAMESPACE)
    try:
        cluster.kubectl("wait", "--for=condition=Ready", f"agd/{AGENT}", "--namespace", NAMESPACE, "--timeout=3m")
    except CommandFailedError as error:
        raise DevClusterError(
            f"the agent did not become Ready:\n{describe_failure(cluster, NAMESPACE, AGENT)}",
            f"kubectl --kubeconfig {cluster.kubeconfig} describe agd/{AGENT} -n {NAMESPACE}",
        ) from error


def _ask(cluster: Cluster) -> dict[str, Any]:
    with forwarded(cluster, NAMESPACE, f"service/{AGENT}") as address:
        body = json.dumps({"input": QUESTION}).encode()
        request = urllib.request.Request(f"{address}/v1/run", body, {"Content-Type": "application/json"})  # noqa: S310 - an address of loopback
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=ANSWER_SECONDS) as response:
                answer: dict[str, Any] = json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise DevClusterError(f"the agent answered {error.code}: {error.read().decode()}") from error
        except OSError as error:
            raise DevClusterError(f"the agent did not answer within {ANSWER_SECONDS} s: {error}") from error
    return answer


def _tell(cluster: Cluster, answer: dict[str, Any], seconds: float) -> None:
    kubectl = f"{cluster.kubectl_program} --kubeconfig {cluster.kubeconfig} -n {NAMESPACE}"
    usage = answer["usage"]
    print(f"""
  Question  {QUESTION}
  Answer    {answer["output"]}
            ({usage["input_tokens"]} tokens in, {usage["output_tokens"]} out, revision {answer["revision"]})

{cluster.kubectl("get", "agd", "--namespace", NAMESPACE).stdout.rstrip()}

Done in {seconds:.0f} s. The cluster stays up. Play on:

  alias k='{kubectl}'
  k describe agd/{AGENT}
  k edit agd/{AGENT}                      # change the instructions: the pods roll, the revision changes
  k port-forward service/{AGENT} 8080:80 &
  curl -s localhost:8080/v1/run -H 'Content-Type: application/json' -d '{{"input": "{QUESTION}"}}'

Stop and remove everything: {_clean_command(cluster)}""")


def _clean_command(cluster: Cluster) -> str:
    if isinstance(cluster, DevCluster):
        return "make clean" if cluster.name == DEFAULT_NAME else f"make clean NAME={cluster.name}"
    run = f"--kubeconfig {cluster.kubeconfig}"
    return (
        f"kubectl {run} delete namespace {NAMESPACE} && helm {run} uninstall {RELEASE} -n {OPERATOR_NAMESPACE} "
        f"&& kubectl {run} delete crd agentdeployments.mizzen.dev"
    )


if __name__ == "__main__":
    sys.exit(main())
