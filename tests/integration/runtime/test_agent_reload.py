"""Keys, authorities and secrets of the agent itself, changed while it serves."""

import threading
from pathlib import Path

import pytest

from tests.integration.runtime.mcp_server import McpServer
from tests.integration.runtime.model_server import ModelServer, after_release, calls, fails, says
from tests.integration.runtime.mounts import mount
from tests.integration.runtime.process import Answer, Json, RuntimeProcess, Start, config_of, scripted, until
from tests.support.authority import Authority


def reloads(runtime: RuntimeProcess, outcome: str) -> float:
    return runtime.metric(f'mizzen_reloads_total{{outcome="{outcome}"}}')


def keyed(server: ModelServer, folder: Path) -> Json:
    return scripted(server, apiKey={"name": "llm", "key": "token", "path": str(folder / "api-key")})


def failure(runtime: RuntimeProcess) -> Json:
    (told,) = runtime.manage("/state").json["reloadFailures"]
    assert isinstance(told, dict)
    return told


def test_a_new_key_serves_new_requests_and_those_that_run_keep_theirs(
    start: Start, model_server: ModelServer, tmp_path: Path
) -> None:
    keys = tmp_path / "key"
    model_server.accepts = {"sk-1"}
    mount(keys, **{"api-key": "sk-1\n"})
    runtime = start(config_of(keyed(model_server, keys)))
    model_server.will(after_release(says("Slow")))
    slow: list[Answer] = []
    asking = threading.Thread(target=lambda: slow.append(runtime.run("Take your time")))
    asking.start()
    assert model_server.held.wait(20)

    model_server.accepts = {"sk-1", "sk-2"}
    mount(keys, **{"api-key": "sk-2\n"})
    until(lambda: reloads(runtime, "ok") == 1, "the new key is taken up")
    model_server.accepts = {"sk-2"}
    model_server.will(says("Quick"))
    assert runtime.run("Hello").json["output"] == "Quick"
    model_server.release.set()
    asking.join(20)

    assert slow[0].json["output"] == "Slow"
    assert [headers["authorization"] for headers in model_server.headers] == ["Bearer sk-1", "Bearer sk-2"]


def test_a_key_that_the_provider_refuses_or_that_is_gone_changes_nothing(
    start: Start, model_server: ModelServer, tmp_path: Path
) -> None:
    keys = tmp_path / "key"
    model_server.accepts = {"sk-1"}
    mount(keys, **{"api-key": "sk-1"})
    runtime = start(config_of(keyed(model_server, keys)))

    def answers() -> bool:
        model_server.will(says("Here"))
        return runtime.run("Hello").status == 200

    assert answers()
    mount(keys, **{"api-key": "sk-wrong"})
    until(lambda: reloads(runtime, "failed") >= 1, "the wrong key is refused")
    assert failure(runtime) == {
        "field": "spec.models[0].apiKey.secretKeyRef",
        "message": "the provider refuses the new key in Secret 'llm', key 'token'",
        "remedy": "put a key there that it takes; the one before stays in use",
    }
    assert answers()

    mount(keys)
    until(lambda: "missing" in failure(runtime)["message"], "that it is gone is told")
    assert answers()

    mount(keys, **{"api-key": "sk-1"})
    until(lambda: reloads(runtime, "ok") == 1, "the key that is back is taken up")
    assert runtime.manage("/state").json["reloadFailures"] == []
    assert answers()
    assert runtime.errors()


@pytest.mark.parametrize(("lists_models", "keys_may_list"), [(False, True), (True, False)], ids=["no list", "no right"])
def test_a_key_is_taken_up_unless_it_was_refused(
    start: Start, model_server: ModelServer, tmp_path: Path, *, lists_models: bool, keys_may_list: bool
) -> None:
    """A provider without a list of models has refused nothing; nor has one that never showed it to the key before."""
    keys = tmp_path / "key"
    model_server.lists_models, model_server.keys_may_list = lists_models, keys_may_list
    mount(keys, **{"api-key": "sk-1"})
    runtime = start(config_of(keyed(model_server, keys)))
    runtime.wait_logged("serving")
    mount(keys, **{"api-key": "sk-2"})
    until(lambda: reloads(runtime, "ok") == 1, "the new key is taken up")
    model_server.will(says("Here"))
    assert runtime.run("Hello").status == 200
    assert model_server.headers[-1]["authorization"] == "Bearer sk-2"


def test_one_value_that_cannot_be_used_keeps_no_other_from_being_used(
    start: Start, model_server: ModelServer, second_server: ModelServer, tmp_path: Path
) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        mount(folder, **{"api-key": "sk-1"})
    first = keyed(model_server, folders[0])
    runtime = start(config_of(first, keyed(second_server, folders[1])))
    model_server.accepts, second_server.accepts = {"sk-1", "sk-2"}, {"sk-1"}
    model_server.will(says("First"))
    assert runtime.run("Hello").json["output"] == "First"

    mount(folders[1], **{"api-key": "sk-wrong"})
    until(lambda: reloads(runtime, "failed") >= 1, "the second key is refused")
    mount(folders[0], **{"api-key": "sk-2"})
    model_server.accepts = {"sk-1", "sk-2"}

    def asked_with_new_key() -> bool:
        model_server.will(says("First"))
        assert runtime.run("Hello").json["output"] == "First"
        return model_server.headers[-1]["authorization"] == "Bearer sk-2"

    until(asked_with_new_key, "the first key is taken up beside a second one that is refused")
    assert failure(runtime)["field"] == "spec.models[1].apiKey.secretKeyRef"
    mount(folders[1])
    until(lambda: "missing" in failure(runtime)["message"], "that the second one is gone is told")
    model_server.will(fails(500))
    second_server.will(says("Second"))
    assert runtime.run("Hello").json["output"] == "Second"
    assert second_server.headers[-1]["authorization"] == "Bearer sk-1"
    assert runtime.errors()


def test_authorities_are_taken_up(start: Start, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "another")]
    for folder in folders:
        folder.mkdir()
    one, another = (Authority(folder, folder.name) for folder in folders)
    server = ModelServer(tls=one.issue("IP:127.0.0.1"))
    bundles = tmp_path / "bundle"
    mount(bundles, **{"ca.crt": another.bundle.read_text()})
    bundle = {"name": "trust", "key": "bundle.pem", "path": str(bundles / "ca.crt")}
    runtime = start(config_of(scripted(server, caBundle=bundle)))
    try:
        assert runtime.run("Hello").json["type"] == "urn:mizzen:problem:model-unavailable"
        mount(bundles, **{"ca.crt": "no certificate"})
        until(lambda: reloads(runtime, "failed") == 1, "what is no bundle is refused")
        assert failure(runtime)["message"] == "key 'bundle.pem' of ConfigMap 'trust' holds no certificates in PEM"
        assert runtime.errors()
        mount(bundles, **{"ca.crt": one.bundle.read_text()})
        until(lambda: reloads(runtime, "ok") == 1, "the right authority is taken up")
        server.will(says("Trusted"))
        assert runtime.run("Hello").json["output"] == "Trusted"
    finally:
        server.close()


def test_a_secret_of_a_capability_is_taken_up(
    start: Start, model_server: ModelServer, mcp_server: McpServer, tmp_path: Path
) -> None:
    secrets = tmp_path / "secret"
    mount(secrets, value="old\n")
    source = {"name": "crm", "key": "token", "path": str(secrets / "value")}
    config = config_of(
        scripted(model_server),
        capabilities=[{"MCP": {"url": mcp_server.url, "authorization_token": {"secret": "crm-token"}}}],
    )
    runtime = start(config | {"secrets": [{"name": "crm-token", "source": source}]})

    def asks_the_tool() -> None:
        model_server.will(calls("shout", {"text": "hello"}), says("Done"))
        assert runtime.run("Shout hello").json["output"] == "Done"
        assert model_server.requests[-1]["messages"][-1]["content"] == "HELLO"

    asks_the_tool()
    assert mcp_server.tokens == {"old"}
    mount(secrets, value="new\n")
    until(lambda: reloads(runtime, "ok") == 1, "the new token is taken up")
    mcp_server.tokens.clear()
    asks_the_tool()
    assert mcp_server.tokens == {"new"}


def test_idle_generations_close_their_connections(start: Start, model_server: ModelServer, tmp_path: Path) -> None:
    keys = tmp_path / "key"
    mount(keys, **{"api-key": "sk-0"})
    runtime = start(config_of(keyed(model_server, keys)))
    for number in range(1, 4):
        model_server.will(says("Here"))
        assert runtime.run("Hello").status == 200
        mount(keys, **{"api-key": f"sk-{number}"})
        until(lambda wanted=number: reloads(runtime, "ok") == wanted, "the new key is taken up")  # type: ignore[misc]
    until(lambda: len(model_server.connections) <= 1, "connections end with their generation")
