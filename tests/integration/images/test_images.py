"""The images as a cluster runs them: what is inside, as whom, and what cannot be written."""

import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from demo.installation import create_namespace
from devcluster import DevCluster
from images.build import build
from images.builder import find_builder
from tests.support.http import Answer, call
from tests.support.namespace import Namespace
from tests.support.waiting import wait_for

NAMES = ("operator", "runtime", "model-server")
LARGEST_MB = {"operator": 310, "runtime": 385, "model-server": 350}
"""A tenth above what they are: who adds a dependency sees what it costs."""
PODS_FOLDER = "/tmp"  # noqa: S108 - a mount path in the pod

LOOK_AROUND = """
import compileall, importlib.util, json, os, pathlib, shutil, sys, tempfile

def writable(folder):
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False

packages = next(pathlib.Path(path) for path in sys.path if path.endswith('site-packages'))
sources = [path for path in packages.rglob('*.py')]
bytecode = [path for path in sources if pathlib.Path(importlib.util.cache_from_source(path)).exists()]
# The second word of a pyc: 1 is an unchecked hash, which never looks at the source.
flags = {pathlib.Path(importlib.util.cache_from_source(path)).read_bytes()[4] for path in bytecode}
print(json.dumps({
    'user': [os.getuid(), os.getgid()],
    'writable': [folder for folder in ('/', '/opt', '/usr', '/etc', '/var', '/tmp', str(packages)) if writable(folder)],
    'compilers': [name for name in ('cc', 'gcc', 'g++', 'clang', 'ld', 'make') if shutil.which(name)],
    'caches': [path for path in (os.path.expanduser('~root/.cache'), '/tmp/.cache', '/var/cache/apt/archives',
                                 '/var/lib/apt/lists')
               if os.path.isdir(path) and os.access(path, os.R_OK) and any(
                   name not in ('lock', 'partial') for name in os.listdir(path))],
    'left_over': [path for path in ('/build', '/project', '/run/secrets/pip', '/run/secrets/ca')
                  if os.path.exists(path)],
    'sources': len(sources),
    'without_bytecode': [str(path) for path in sources if path not in bytecode][:5],
    'flags': sorted(flags),
    'modules': [name for name in ('mizzen_api', 'mizzen_operator', 'mizzen_runtime', 'pip', 'setuptools', 'hatchling')
                if importlib.util.find_spec(name)],
}))
"""


def pod(name: str, image: str, **container: Any) -> dict[str, Any]:
    """A pod under the restricted standard, with nothing to write to but /tmp."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 20,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "tmp", "mountPath": PODS_FOLDER}],
                    **container,
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }


@pytest.fixture(scope="module")
def space(cluster: DevCluster) -> Iterator[Namespace]:
    """One namespace under the restricted standard for all tests here."""
    name = f"test-images-{uuid.uuid4().hex[:8]}"
    create_namespace(cluster, name)
    yield Namespace(cluster, name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def wait_phase(space: Namespace, name: str, phase: str) -> None:
    def reached() -> bool:
        status = space.get("pod", name)["status"]
        assert status["phase"] == phase, status.get("containerStatuses")
        return True

    wait_for(reached, f"pod {name} to be {phase}", seconds=60, interval=0.2)


@pytest.fixture(scope="module")
def looks(space: Namespace, images: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What a look around inside each image finds."""
    for name in NAMES:
        space.apply(pod(f"look-{name}", images[name], command=["python", "-c", LOOK_AROUND]))
    found = {}
    for name in NAMES:
        wait_phase(space, f"look-{name}", "Succeeded")
        found[name] = json.loads(space.kubectl("logs", f"look-{name}"))
    return found


@pytest.mark.parametrize("name", NAMES)
class TestInside:
    def test_it_runs_as_a_user_that_is_not_root(self, looks: dict[str, Any], name: str) -> None:
        assert looks[name]["user"] == [65532, 65532]

    def test_it_works_with_nothing_to_write_to_but_the_pods_own_folder(self, looks: dict[str, Any], name: str) -> None:
        assert looks[name]["writable"] == [PODS_FOLDER]

    def test_it_holds_no_compiler(self, looks: dict[str, Any], name: str) -> None:
        assert looks[name]["compilers"] == []

    def test_it_holds_no_cache_and_nothing_of_its_build(self, looks: dict[str, Any], name: str) -> None:
        assert looks[name]["caches"] == []
        assert looks[name]["left_over"] == []

    def test_every_module_has_bytecode_that_never_looks_at_its_source(self, looks: dict[str, Any], name: str) -> None:
        assert looks[name]["sources"] > 0
        assert looks[name]["without_bytecode"] == []
        assert looks[name]["flags"] == [1]


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_smaller_than_its_bound(images: dict[str, str], name: str) -> None:
    reference = build([name])[name]
    size, unit = find_builder().sizes()[reference].split()
    assert unit == "MB"
    assert float(size) < LARGEST_MB[name]


def test_each_image_holds_the_packages_that_it_needs_and_no_others(looks: dict[str, Any]) -> None:
    assert looks["operator"]["modules"] == ["mizzen_api", "mizzen_operator"]
    assert looks["runtime"]["modules"] == ["mizzen_api", "mizzen_runtime", "pip"], "users' images install with pip"
    assert looks["model-server"]["modules"] == []


@pytest.mark.parametrize("name", ["operator", "runtime"])
def test_the_entry_point_is_the_projects_program(space: Namespace, images: dict[str, str], name: str) -> None:
    space.apply(pod(f"help-{name}", images[name], args=["--help"]))
    wait_phase(space, f"help-{name}", "Succeeded")
    assert f"python -m mizzen_{name}" in space.kubectl("logs", f"help-{name}")


def test_a_warm_build_of_all_three_only_looks(images: dict[str, str]) -> None:
    begun = time.monotonic()
    references = build()
    assert time.monotonic() - begun < 5, "one image alone takes longer to build"
    assert references.keys() == images.keys()


@pytest.fixture(scope="module")
def model_server(space: Namespace, images: dict[str, str]) -> str:
    """Address of a model server's pod; the host has a route to it."""
    probe = {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 1}
    space.apply(pod("model", images["model-server"], readinessProbe=probe))
    space.kubectl("wait", "--for=condition=Ready", "pod/model", "--timeout=60s")
    return f"http://{space.get('pod', 'model')['status']['podIP']}:8080"


def chat(address: str, text: str, **more: Any) -> Answer:
    # With instructions: without any, a model this small drifts off.
    messages = [
        {"role": "system", "content": "You answer questions in one short sentence."},
        {"role": "user", "content": text},
    ]
    body = {"model": "smollm2-135m", "messages": messages, "max_tokens": 32, "temperature": 0}
    return call(f"{address}/v1/chat/completions", {**body, **more})


def tokens(address: str) -> tuple[int, int]:
    metrics = call(f"{address}/metrics").text
    read, written = (
        re.search(rf"^llamacpp:{name} (\d+)$", metrics, re.MULTILINE)
        for name in ("prompt_tokens_total", "tokens_predicted_total")
    )
    assert read is not None
    assert written is not None
    return int(read[1]), int(written[1])


class TestModelServer:
    def test_it_answers_as_openai_does_and_knows_a_capital(self, model_server: str) -> None:
        answer = chat(model_server, "What is the capital of France?")
        assert answer.status == 200, answer
        assert "Paris" in answer.json()["choices"][0]["message"]["content"]

    def test_its_counters_grow_by_the_usage_that_an_answer_states_also_the_second_time(self, model_server: str) -> None:
        for _ in range(2):
            before = tokens(model_server)
            usage = chat(model_server, "What is the capital of Italy?").json()["usage"]
            after = tokens(model_server)
            assert after == (before[0] + usage["prompt_tokens"], before[1] + usage["completion_tokens"])

    def test_it_answers_in_the_shape_of_a_json_schema(self, model_server: str) -> None:
        schema = {"type": "object", "properties": {"mood": {"enum": ["happy", "sad"]}}, "required": ["mood"]}
        answer = chat(
            model_server,
            "Is this happy or sad? 'I love this day'",
            response_format={"type": "json_schema", "json_schema": {"name": "mood", "schema": schema}},
        )
        assert json.loads(answer.json()["choices"][0]["message"]["content"])["mood"] in {"happy", "sad"}

    @pytest.mark.usefixtures("model_server")
    def test_it_ends_cleanly_when_it_is_asked_to(self, space: Namespace) -> None:
        space.kubectl("exec", "model", "--", "python", "-c", "import os; os.kill(1, 15)")
        wait_phase(space, "model", "Succeeded")
        assert space.get("pod", "model")["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
