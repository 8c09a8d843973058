"""Own code on the cluster: the example's image answers with its tools, and what cannot start says why."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from demo.installation import CHECKOUT, SAMPLES
from images.build import build
from tests.conftest import Platform
from tests.integration.runtime.model_server import ModelServer, calls, fills_in
from tests.support.namespace import Namespace, Object, agent_deployment
from tests.support.waiting import wait_for

TRIAGE = {"team": "delivery", "urgency": 4, "customer_id": "c-17", "summary": "Order o-2041 is lost."}


@pytest.fixture
def model_server(platform: Platform) -> Iterator[ModelServer]:
    """A scripted model server in this process, on the address from which this machine reaches the cluster."""
    model = urlsplit(platform.models.address("model-server"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as towards_the_cluster:
        towards_the_cluster.connect((model.hostname, model.port))
        host = towards_the_cluster.getsockname()[0]
    server = ModelServer(host)
    yield server
    server.close()


def example(image: str, model: dict[str, str]) -> Object:
    """Give the example's own resource with the tests' image and model."""
    manifest: Object = yaml.safe_load((CHECKOUT / "examples" / "triage" / "agentdeployment.yaml").read_text())
    manifest["spec"] |= {"models": [model], "pod": {"image": image}}
    return manifest


def test_the_examples_tools_are_called_in_the_pod_and_its_answer_has_its_shape(
    platform: Platform, namespace: Namespace, model_server: ModelServer
) -> None:
    image = platform.cluster.load(build(["example-triage"])["example-triage"])
    namespace.apply(example(image, {"model": "vllm:scripted", "baseUrl": model_server.base_url}))
    namespace.wait_ready("triage")
    model_server.will(
        calls("find_customer", {"email": "bob@example.org"}),
        calls("orders_of", {"customer_id": "c-17"}),
        fills_in(TRIAGE),
    )

    answer = namespace.ask("triage", "bob@example.org: where is my order o-2041?").json()

    assert answer["output"] == TRIAGE
    assert [attempt["outcome"] for attempt in answer["attempts"]] == ["ok"] * 3
    messages = model_server.requests[2]["messages"]
    told = [json.loads(message["content"]) for message in messages if message["role"] == "tool"]
    assert told == [
        {"id": "c-17", "email": "bob@example.org", "plan": "enterprise"},
        [{"id": "o-2041", "status": "lost"}, {"id": "o-1988", "status": "delivered"}],
    ], "from the file that is installed in the image"
    assert namespace.get("agd", "triage")["status"]["model"] == "vllm:scripted"


def own_code(entrypoint: str, **spec: Any) -> Object:
    return agent_deployment("triage", agent=None, models=None, entrypoint=entrypoint, **spec)


def test_an_image_without_the_code_is_told_with_the_field_that_names_another(
    platform: Platform, namespace: Namespace
) -> None:
    namespace.apply(own_code("acme_triage.agents:triage"))

    said = namespace.wait_condition("triage", "ConfigResolved", "False", "ConfigInvalid")

    assert "spec.entrypoint: there is no module 'acme_triage' in this image; name the image that holds it in" in said
    assert "model" not in namespace.get("agd", "triage")["status"], "own code names it, and nobody knows that code"


def test_an_import_that_fails_is_told_with_the_tracebacks_last_line(platform: Platform, namespace: Namespace) -> None:
    # A module of Python's own that cannot be imported on this system.
    namespace.apply(own_code("asyncio.windows_events:agent"))

    said = namespace.wait_condition("triage", "ConfigResolved", "False", "ConfigInvalid")

    assert "spec.entrypoint: importing asyncio.windows_events failed at " in said
    assert "asyncio/windows_events.py:6 in <module>: ImportError: win32 only; " in said
    assert said in namespace.condition("triage", "Ready")["message"]
    logs = ("logs", "--selector", "app.kubernetes.io/instance=triage", "--tail", "-1")
    wait_for(lambda: "Traceback (most recent call last):" in namespace.kubectl(*logs), "the traceback in the log")


def test_a_factory_that_raises_is_told_likewise(platform: Platform, namespace: Namespace) -> None:
    # A function of Python's own that raises where nothing runs.
    namespace.apply(own_code("asyncio:get_running_loop"))

    said = namespace.wait_condition("triage", "ConfigResolved", "False", "ConfigInvalid")

    assert "spec.entrypoint: calling asyncio:get_running_loop failed: RuntimeError: no running event loop; " in said


def test_own_code_beside_an_agent_and_neither_of_them_are_refused_at_apply(
    platform: Platform, namespace: Namespace
) -> None:
    message = "give the agent either in spec.agent or as own code in spec.entrypoint, exactly one of the two"
    assert message in namespace.refusal(agent_deployment("triage", entrypoint="acme:triage"))
    assert message in namespace.refusal(agent_deployment("triage", agent=None))


def test_the_second_model_of_the_fallback_sample_answers(platform: Platform, namespace: Namespace) -> None:
    manifest: Object = yaml.safe_load((SAMPLES / "fallback.yaml").read_text())
    manifest["spec"]["models"][1]["baseUrl"] = platform.model_url
    namespace.apply(manifest)
    namespace.wait_ready("fallback")

    answer = namespace.ask("fallback", "What is the capital of France?")

    assert answer.status == 200, answer
    assert "Paris" in answer.json()["output"]
    assert [(attempt["model"], attempt["outcome"]) for attempt in answer.json()["attempts"]] == [
        ("vllm:large", "model_unavailable"),
        ("openai-chat:smollm2-135m", "ok"),
    ]
