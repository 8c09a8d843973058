"""Credentials in the arguments of capabilities: by reference to a Secret, never as they are."""

from typing import Any

import pytest
from pydantic import ValidationError

from mizzen_api.agentdeployment import AgentDeployment, AgentDeploymentSpec
from mizzen_api.capabilities import capability_problem, with_secrets
from mizzen_api.rendering import runtime_config
from mizzen_operator.desired.pod_template import build_pod_template

BY_REFERENCE = {"MCP": {"url": "http://crm/", "headers": {"X-Api-Key": {"secret": "crm"}}}}


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"url": "http://crm/", "authorization_token": "hunter2"}, "authorization_token"),
        ({"url": "http://crm/", "headers": {"Authorization": "Bearer hunter2"}}, "Authorization"),
        ({"url": "http://crm/", "headers": {"X-Api-Key": "hunter2"}}, "X-Api-Key"),
        ({"url": "http://me:hunter2@crm/"}, "url"),
        (["http://me@crm/"], "an address with user and password"),
    ],
)
def test_a_credential_as_it_is_is_refused_without_being_repeated(arguments: Any, place: str) -> None:
    assert capability_problem({"MCP": arguments}) == (
        f"capability 'MCP' must not hold a credential as it is ({place}): put it into a Secret, give that a name in "
        "spec.secrets, and write {secret: NAME} in its place"
    )


@pytest.mark.parametrize(
    "entry",
    [
        BY_REFERENCE,
        {"MCP": {"url": "http://crm/a@b?token_limit=1", "headers": {"X-Token-Limit": "5"}}},
        {"MCP": {"url": "http://crm/", "authorization_token": {"secret": "crm"}}},
    ],
)
def test_a_reference_and_what_only_looks_like_a_credential_are_taken(entry: Any) -> None:
    assert capability_problem(entry) is None


def test_a_credential_in_a_wrapped_capability_is_refused() -> None:
    nested = {"PrefixTools": {"prefix": "crm", "capability": {"MCP": {"authorization_token": "hunter2"}}}}
    assert "(authorization_token)" in (capability_problem(nested) or "")


def test_references_are_replaced_by_values_and_nothing_else_is() -> None:
    arguments = {"a": [{"secret": "one"}, {"secret": "other"}, {"secret": 1}], "secret": "x"}
    assert with_secrets(arguments, {"one": "1"}) == {"a": ["1", {"secret": "other"}, {"secret": 1}], "secret": "x"}


def spec(*names: str, capabilities: Any = (BY_REFERENCE,), **rest: Any) -> dict[str, Any]:
    secrets = [{"name": name, "secretKeyRef": {"name": "crm-secret", "key": "token"}} for name in names]
    agent = {"model": "test", "capabilities": list(capabilities)}
    return {"agent": agent, **({"secrets": secrets} if secrets else {}), **rest}


def refusal(**fields: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        AgentDeploymentSpec.model_validate(fields)
    return str(refused.value.errors()[0]["ctx"]["error"])


def test_what_is_named_must_be_there_once_and_be_used() -> None:
    assert refusal(**spec()) == "a capability refers to the secret 'crm': give it in spec.secrets"
    assert refusal(**spec("crm", "old", "crm")) == (
        "no capability refers to the secret 'old': remove it from spec.secrets; "
        "the name 'crm' is given more than once in spec.secrets: leave one of them"
    )
    own = {"entrypoint": "acme:agent", "secrets": spec("crm")["secrets"]}
    assert refusal(**own) == (
        "spec.secrets are for the capabilities of spec.agent; own code in spec.entrypoint gets its secrets by "
        "spec.pod.env"
    )


def test_a_secret_is_mounted_where_the_runtime_looks_for_it() -> None:
    agent = AgentDeployment.model_validate({"metadata": {"name": "triage"}, "spec": spec("crm")})
    (secret,) = runtime_config(agent, "r").secrets or ()
    assert secret.source.path == "/etc/mizzen/secrets/crm/value"
    pod = build_pod_template(agent, "r", "runtime")["spec"]
    assert {"name": "secret-crm", "mountPath": "/etc/mizzen/secrets/crm", "readOnly": True} in pod["containers"][0][
        "volumeMounts"
    ]
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == "secret-crm")
    assert volume["secret"] == {
        "secretName": "crm-secret",
        "optional": True,
        "defaultMode": 0o440,
        "items": [{"key": "token", "path": "value"}],
    }
