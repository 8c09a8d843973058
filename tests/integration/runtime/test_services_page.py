"""The code of `docs/services.md`, as the page has it: its tests pass, and the runtime serves it."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn, get_args

import pytest
import yaml
from prometheus_client import CollectorRegistry

from manifests.chart_values import CHECKOUT
from manifests.settings_page import settings_model
from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.conditions import ConditionType, Reason
from mizzen_api.contract import RuntimeConfig
from mizzen_api.health import HealthStatus
from mizzen_api.names import API_VERSION, KIND
from mizzen_api.problems import Problem
from mizzen_api.rendering import runtime_config
from mizzen_runtime.breakers import Breakers
from mizzen_runtime.container import AgentServices
from mizzen_runtime.metrics import ServiceMetrics
from mizzen_runtime.mounted_files import AGAIN_AT_MOST_SECONDS, AGAIN_SECONDS, CHECK_SECONDS
from mizzen_runtime.own_code.imports import OwnCodeLoader
from mizzen_runtime.own_code.start_watch import StartWatch
from mizzen_runtime.redaction import Redactor
from mizzen_runtime.reloads import Reloads
from mizzen_runtime.running_services import RunningServices
from mizzen_runtime.service_health import FAILURES, PING_AGAIN_SECONDS, PING_LIMIT_SECONDS, PING_SECONDS
from mizzen_runtime.service_wiring import IMPLEMENTATIONS, INTERFACES, define_services
from mizzen_runtime.settings_fields import AgentName
from tests.integration.runtime.model_server import ModelServer, calls, says
from tests.integration.runtime.process import START_SECONDS, RuntimeProcess, Start, scripted, until
from tests.support.pages import blocks, write_files

PAGE = (CHECKOUT / "docs" / "services.md").read_text()
WORDS = " ".join(PAGE.split())
TOKEN = "token-of-the-shop"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Write each file of the page where its first line says."""
    root = tmp_path / "package"
    write_files((*blocks(PAGE, "python"), *blocks(PAGE, "yaml")), root)
    return root


@dataclass
class Shop:
    """The API that the page's service asks, with what it was asked."""

    url: str
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def shop() -> Iterator[Shop]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/articles?"):
                told.asked.append((self.path, self.headers["authorization"]))
            body = b'{"price": 10.0}'
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told = Shop(f"http://127.0.0.1:{server.server_port}")
    yield told
    server.shutdown()
    server.server_close()


@dataclass(frozen=True)
class Objects:
    """The page's resource, with its ConfigMaps and the Secret mounted below a folder as kubelet does in a pod."""

    config: RuntimeConfig
    root: Path

    def write(self, service: str, kind: str, **values: str) -> None:
        folder = self.root / "services" / service / kind
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in values.items():
            new = folder / "..new"
            new.write_text(value)
            new.rename(folder / key)

    def rendered(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.config.model_dump_json().replace("/etc/mizzen", str(self.root)))
        return content


@pytest.fixture
def objects(package: Path, tmp_path: Path, shop: Shop) -> Objects:
    documents = list(yaml.safe_load_all((package / "shop.yaml").read_text()))
    (agent,) = (each for each in documents if each["kind"] == KIND)
    data = {each["metadata"]["name"]: each["data"] for each in documents if each["kind"] == "ConfigMap"}
    (secret,) = re.findall(r"create secret generic (\S+) --from-literal=(\w+)=", PAGE)
    objects = Objects(runtime_config(AgentDeployment.model_validate(agent), "r1"), tmp_path / "mounted")
    for service in objects.config.services or ():
        for source in service.sources:
            kind = Path(source.path).name
            values = {secret[1]: TOKEN} if (kind, source.name) == ("secret", secret[0]) else data[source.name]
            objects.write(service.name, kind, **values)
    objects.write("shop", "config", base_url=shop.url)
    return objects


def serve(start: Start, package: Path, objects: Objects, server: ModelServer, **fields: object) -> RuntimeProcess:
    path = os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    runtime = start(objects.rendered() | {"models": [scripted(server)]} | fields, PYTHONPATH=path)
    until(lambda: runtime.manage("/readyz").status == 200, "it is ready", START_SECONDS)
    return runtime


def price(runtime: RuntimeProcess, server: ModelServer) -> str:
    server.will(calls("price_of", {"sku": "o-1"}), says("Cheap"))
    assert runtime.run("What is o-1?").json["output"] == "Cheap"
    told: str = server.requests[-1]["messages"][-1]["content"]
    return told


def test_the_pages_agent_asks_the_shop_and_takes_a_new_discount_up(
    start: Start, package: Path, objects: Objects, shop: Shop, model_server: ModelServer
) -> None:
    runtime = serve(start, package, objects, model_server)

    assert price(runtime, model_server) == "9.0"
    assert shop.asked == [("/articles?sku=o-1", f"Bearer {TOKEN}")]
    (tool,) = model_server.requests[0]["tools"]
    assert tool["function"]["parameters"]["properties"].keys() == {"sku"}, "the model does not see the service"

    objects.write("pricing", "config", discount="0.5")
    runtime.wait_logged("a change is in force")
    assert price(runtime, model_server) == "5.0"

    objects.write("pricing", "config", discount="much")
    runtime.wait_logged("a change is not taken up, all stays as it was")
    assert price(runtime, model_server) == "5.0"
    (told,) = runtime.manage("/state").json["reloadFailures"]
    assert told["field"] == "ConfigMap 'pricing', key 'discount'"
    for outcome in ("ok", "failed"):
        assert f'outcome="{outcome}"' in PAGE
        assert runtime.metric(f'mizzen_reloads_total{{outcome="{outcome}"}}') >= 1
    assert runtime.metric('mizzen_service_up{service="shop"}') == 1


def test_the_pages_agent_of_own_code_gets_the_same_services(
    start: Start, package: Path, objects: Objects, model_server: ModelServer
) -> None:
    (entrypoint,) = re.findall(r"`entrypoint: (\S+)`", PAGE)
    runtime = serve(start, package, objects, model_server, agent=None, entrypoint=entrypoint)
    assert price(runtime, model_server) == "9.0"


def test_the_pages_tests_pass(package: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", str(package)]
    done = subprocess.run(
        [*command, "tests"],
        cwd=package,
        env=os.environ | {"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d{3} passed", done.stdout, re.MULTILINE), "those of the contract among them"


@pytest.fixture
def importable(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Import the page's package in this process."""
    monkeypatch.syspath_prepend(package)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_shop"]:
        del sys.modules[name]


def never(problem: Problem) -> NoReturn:
    raise AssertionError(problem)


def mistake(wrong: str, package: Path, objects: Objects) -> None:
    """Make the mistake that a row of the table is about."""
    root, code = objects.root / "services", package / "acme_shop" / "pricing.py"
    match wrong:
        case "a setting is missing":
            (root / "pricing" / "config" / "discount").unlink()
            objects.write("pricing", "config", other="1")
        case "a key is misspelt":
            objects.write("pricing", "config", discont="0.1")
        case "a value is wrong":
            objects.write("pricing", "config", discount="much")
        case "it is set twice":
            objects.write("shop", "secret", path="/")
        case "a secret is exposed":
            (root / "shop" / "secret" / "bearer_token").rename(root / "shop" / "config" / "bearer_token")
        case "the Secret is not there":
            (root / "shop" / "secret" / "bearer_token").unlink()
        case "a method is missing":
            code.write_text("cost(self, sku".join(code.read_text().rsplit("price(self, sku", 1)))
        case "nothing gives what it needs":
            code.write_text(code.read_text().replace("ExternalAPIService", "CacheService"))
        case _:
            raise AssertionError(f"no mistake is made for {wrong!r}")


ERRORS = re.findall(r"^\| (.*?) \| (.*?) \|$", PAGE.partition("| Wrong |")[2].partition("\n\n")[0], re.MULTILINE)[1:]


@pytest.mark.parametrize(("wrong", "said"), ERRORS, ids=[wrong for wrong, _ in ERRORS])
def test_what_is_told_of_a_mistake_is_what_the_page_says(
    importable: None, package: Path, objects: Objects, wrong: str, said: str
) -> None:
    mistake(wrong, package, objects)
    config = RuntimeConfig.model_validate(objects.rendered())
    with StartWatch(threading.TIMEOUT_MAX, never) as watch:
        loader = OwnCodeLoader(watch, Redactor([]), restore_log=lambda _package: None)
        definitions, problems = define_services(config, loader, Breakers())
    metrics = ServiceMetrics(CollectorRegistry())
    services = RunningServices(
        definitions, AgentName(config.namespace, config.name), metrics, Reloads(metrics.count_reload)
    )
    told = [str(problem) for problem in (*problems, *services.wire(AgentServices))]
    assert any(line.startswith(said.rstrip("…")) for line in told), told


def test_the_pages_secret_for_a_capability_is_valid_and_a_literal_is_refused() -> None:
    (text,) = (block for block in blocks(PAGE, "yaml") if not block.startswith("# "))

    def resource(text: str) -> AgentDeployment:
        manifest = yaml.safe_load(text)
        manifest["spec"]["models"] = [{"model": "test"}]
        names = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "crm"}}
        return AgentDeployment.model_validate(names | manifest)

    assert resource(text).spec.secrets
    with pytest.raises(ValueError, match="must not hold a credential as it is"):
        resource(text.replace("{secret: crm-token}", "crm-token"))


def test_the_page_names_what_there_is() -> None:
    for name in (*INTERFACES, *IMPLEMENTATIONS):
        assert f"`{name}`" in PAGE
    for interface in INTERFACES.values():
        for method in vars(interface):
            assert method.startswith("_") or f"`{method}(" in PAGE


def test_the_page_names_conditions_and_states_that_there_are() -> None:
    told = re.findall(r"`(\w+)`(?: is False|,) with `(\w+)`", WORDS)
    assert len(told) == 3
    for condition, reason in told:
        assert condition in set(ConditionType)
        assert reason in set(Reason)
    assert set(re.findall(r"`(degraded|unhealthy)`", PAGE)) == set(get_args(HealthStatus)) - {"healthy"}


def test_the_page_tells_times_as_the_code_has_them() -> None:
    assert f"every {PING_SECONDS:g} s, and every second while one is not healthy" in WORDS
    assert (PING_AGAIN_SECONDS, FAILURES) == (1, 2)
    assert f"two pings in a row that fail, or take longer than {PING_LIMIT_SECONDS:g} s" in WORDS
    assert f"the runtime looks every {CHECK_SECONDS:g} s" in WORDS
    assert f"after {AGAIN_SECONDS:g} s, then at intervals that double up to {AGAIN_AT_MOST_SECONDS:g} s" in WORDS


def test_every_setting_is_on_the_settings_page() -> None:
    page = (CHECKOUT / "docs" / "service-settings.md").read_text()
    for name in IMPLEMENTATIONS:
        section = page.partition(f"## `{name}`")[2].partition("\n## ")[0]
        assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == settings_model(name).model_fields.keys()
