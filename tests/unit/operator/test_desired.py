import json
from pathlib import Path
from typing import Any

import pytest

from mizzen_api.contract import CONFIG_FILE, LIVE_FILE, LiveSettings, RuntimeConfig
from mizzen_api.limits import RuntimeLimits
from mizzen_operator.desired import Desired, InvalidSpecError
from mizzen_operator.desired.live_config_map import live_config_map_name
from tests.unit.operator.agents import FULL_SPEC, golden_agents
from tests.unit.operator.builders import agent, desired_for
from tests.unit.operator.golden import COMMAND, FOLDER, render


def desired_of(**spec: Any) -> Desired:
    return desired_for(agent(**spec))


def only(desired: Desired, kind: str) -> dict[str, Any]:
    live = live_config_map_name(desired.children[-1]["metadata"]["name"])
    found = [child for child in desired.children if child["kind"] == kind and child["metadata"]["name"] != live]
    assert len(found) == 1, f"{len(found)} of kind {kind}"
    return found[0]


def pod_spec(**spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = only(desired_of(**spec), "Deployment")["spec"]["template"]["spec"]
    return found


def problems_of_spec(**spec: Any) -> list[str]:
    with pytest.raises(InvalidSpecError) as caught:
        desired_of(**spec)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("name", golden_agents())
def test_the_objects_of_an_agent_are_those_of_its_golden_file(name: str) -> None:
    golden = FOLDER / f"{name}.yaml"
    assert render(golden_agents()[name]) == golden.read_text(), f"write it anew with `{COMMAND}` and look at the diff"


def test_every_golden_file_belongs_to_an_agent() -> None:
    assert {file.stem for file in FOLDER.glob("*.yaml")} == set(golden_agents())


def test_an_agent_gets_an_account_a_configuration_a_service_and_a_deployment() -> None:
    assert [child["kind"] for child in desired_of().children] == [
        "ServiceAccount",
        "ConfigMap",
        "Service",
        "Deployment",
    ]


@pytest.mark.parametrize(("logging", "level"), [({}, "info"), ({"level": "debug"}, "debug")])
def test_what_pods_take_up_while_they_run_is_in_an_object_that_can_change(logging: dict[str, str], level: str) -> None:
    _, live = (child for child in desired_of(logging=logging).children if child["kind"] == "ConfigMap")
    assert (live["metadata"]["name"], "immutable" in live) == ("hello-live", False)
    assert LiveSettings.model_validate_json(live["data"][LIVE_FILE]).log_level == level
    (volume,) = [volume for volume in pod_spec()["volumes"] if volume["name"] == "live"]
    assert volume["configMap"]["name"] == "hello-live"
    assert volume["configMap"]["optional"], "it need not be there, and its first word rolls nothing"


def test_an_account_of_the_users_own_is_used_and_none_is_made() -> None:
    spec = {"pod": {"serviceAccountName": "mine"}}
    assert "ServiceAccount" not in [child["kind"] for child in desired_of(**spec).children]
    assert pod_spec(**spec)["serviceAccountName"] == "mine"


def test_no_pod_gets_a_token_of_the_api_server() -> None:
    assert only(desired_of(), "ServiceAccount")["automountServiceAccountToken"] is False
    assert pod_spec()["automountServiceAccountToken"] is False
    assert pod_spec(pod={"serviceAccountName": "mine"})["automountServiceAccountToken"] is False


def test_the_configuration_is_what_the_runtime_reads_back() -> None:
    desired = desired_for(golden_agents()["full"])
    config = RuntimeConfig.model_validate_json(only(desired, "ConfigMap")["data"][CONFIG_FILE])
    assert config.revision == desired.revision.name
    assert config.agent is not None
    assert config.agent["instructions"] == ["Triage the ticket.", "Answer in English."]
    assert [model.model for model in config.models] == ["vllm:qwen3-32b", "test", "openai:gpt-5"]
    assert config.models[0].request_timeout_seconds == 90
    assert config.limits is not None
    assert (config.limits.max_concurrent_requests, config.limits.max_queued_requests) == (20, 0)
    assert (config.limits.request_timeout_seconds, config.limits.batch_timeout_seconds) == (90.5, 7200)


def test_limits_that_are_left_out_have_their_defaults_in_the_runtime() -> None:
    rendered = json.loads(only(desired_of(limits={"maxQueuedRequests": 7}), "ConfigMap")["data"][CONFIG_FILE])
    assert RuntimeLimits.model_validate(rendered["limits"]) == RuntimeLimits(max_queued_requests=7)


@pytest.mark.parametrize("limits", [None, {}], ids=["absent", "empty"])
def test_an_agent_that_sets_no_limits_has_none_in_its_configuration(limits: object) -> None:
    assert "limits" not in json.loads(only(desired_of(limits=limits), "ConfigMap")["data"][CONFIG_FILE])


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [(None, 82), ({"requestTimeout": "10s"}, 32), ({"requestTimeout": "1.5s"}, 24), ({"batchTimeout": "2h"}, 82)],
    ids=["the default", "shorter", "rounded up", "a batch's items are requests"],
)
def test_a_pod_may_stay_for_its_last_request(limits: object, seconds: int) -> None:
    assert pod_spec(limits=limits)["terminationGracePeriodSeconds"] == seconds


def test_own_code_is_rendered_with_the_names_of_the_variables_that_come_from_secrets() -> None:
    config = json.loads(only(desired_for(golden_agents()["own-code"]), "ConfigMap")["data"][CONFIG_FILE])
    assert config["entrypoint"] == "acme_triage.agents:triage"
    assert config["secretVariables"] == ["TOKEN"]
    assert "agent" not in config


def test_the_configuration_of_an_agent_without_own_code_has_no_field_of_own_codes() -> None:
    without = [service for service in FULL_SPEC["services"] if ":" not in service["implementation"]]
    rendered = json.loads(only(desired_of(**{**FULL_SPEC, "services": without}), "ConfigMap")["data"][CONFIG_FILE])
    assert not {"entrypoint", "secretVariables"} & rendered.keys()


@pytest.mark.parametrize(
    "spec",
    [
        {"agent": None, "models": None, "entrypoint": "acme:agent"},
        {"agent": {"capabilities": [{"PythonTools": {"tools": ["acme:price"]}}]}},
        {"services": [{"name": "pricing", "interface": "acme:Pricing", "implementation": "acme:Table"}]},
    ],
    ids=["the agent", "a tool", "a service"],
)
def test_variables_from_secrets_are_named_wherever_own_code_may_repeat_them(spec: dict[str, Any]) -> None:
    token = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s3", "key": "k"}}}
    desired = desired_of(**spec, pod={"env": [token]})
    assert json.loads(only(desired, "ConfigMap")["data"][CONFIG_FILE])["secretVariables"] == ["TOKEN"]


def test_own_code_without_secrets_names_none() -> None:
    desired = desired_of(agent=None, entrypoint="acme:agent", pod={"env": [{"name": "A", "value": "1"}]})
    assert "secretVariables" not in json.loads(only(desired, "ConfigMap")["data"][CONFIG_FILE])


def test_a_null_inside_a_schema_reaches_the_runtime() -> None:
    desired = desired_for(golden_agents()["full"])
    rendered = json.loads(only(desired, "ConfigMap")["data"][CONFIG_FILE])
    assert rendered["agent"]["output_schema"]["properties"]["queue"]["default"] is None


def test_a_key_is_mounted_where_the_configuration_says() -> None:
    desired = desired_for(golden_agents()["full"])
    config = RuntimeConfig.model_validate_json(only(desired, "ConfigMap")["data"][CONFIG_FILE])
    spec = only(desired, "Deployment")["spec"]["template"]["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    for model in config.models:
        if model.api_key is None:
            continue
        volume = next(
            volume for volume in spec["volumes"] if volume.get("secret", {}).get("secretName") == model.api_key.name
        )
        item = volume["secret"]["items"][0]
        assert item["key"] == model.api_key.key
        assert str(Path(mounts[volume["name"]]) / item["path"]) == model.api_key.path
        assert volume["secret"]["optional"] is True


def test_no_secret_is_named_outside_of_volumes_and_explicit_variables() -> None:
    rendered = json.dumps(pod_spec(models=[{"model": "test", "apiKey": {"secretKeyRef": {"name": "s3", "key": "k"}}}]))
    assert rendered.count("s3") == 1


def test_a_label_of_the_operator_cannot_be_overridden() -> None:
    labels = {"app.kubernetes.io/instance": "other", "mizzen.dev/revision": "x", "team": "a"}
    problems = problems_of_spec(pod={"labels": labels})
    assert problems == [
        f"spec.pod.labels[{label!r}]: the operator finds the pods by this label and sets it itself; remove it"
        for label in ("app.kubernetes.io/instance", "mizzen.dev/revision")
    ]


def test_a_repeated_variable_is_told_with_its_place() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}, {"name": "A", "value": "2"}]
    assert problems_of_spec(pod={"env": env}) == ["spec.pod.env[2]: 'A' is there before; leave one of them"]


def test_a_configuration_that_no_config_map_can_hold_is_told_with_both_sizes() -> None:
    (problem,) = problems_of_spec(agent={"instructions": "x" * (1024 * 1024)})
    assert problem.startswith("spec.agent: it renders to 105")
    assert "a ConfigMap holds 1048576" in problem


def test_all_problems_are_told_at_once() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    assert len(problems_of_spec(pod={"env": env, "labels": {"mizzen.dev/x": "y"}})) == 2
