"""The rights of the operator and of agents beside what they asked of the API server in all tests before these."""

from typing import Any

import pytest
import yaml

from demo.installation import OPERATOR_NAMESPACE, RELEASE
from tests.conftest import Platform
from tests.support.audit import Event, events_since
from tests.support.namespace import Namespace, agent_deployment
from tests.support.rights import Right, granted, is_lacking, used

pytestmark = pytest.mark.looks_back


def of_account(events: list[Event], account: str, namespace: str) -> list[Event]:
    return [event for event in events if event["user"]["username"] == user(namespace, account)]


def user(namespace: str, account: str) -> str:
    return f"system:serviceaccount:{namespace}:{account}"


def installed(platform: Platform) -> list[dict[str, Any]]:
    """Give what helm rendered and installed."""
    text = platform.cluster.helm("get", "manifest", RELEASE, "--namespace", OPERATOR_NAMESPACE).stdout
    return [document for document in yaml.safe_load_all(text) if document]


def account_of(manifests: list[dict[str, Any]]) -> str:
    (deployment,) = (item for item in manifests if item["kind"] == "Deployment")
    return str(deployment["spec"]["template"]["spec"]["serviceAccountName"])


@pytest.fixture(scope="module")
def requests(platform: Platform) -> list[Event]:
    """All that the operator has asked of the API server."""
    account = account_of(installed(platform))
    found = of_account(events_since(platform.cluster.paths, platform.begun), account, OPERATOR_NAMESPACE)
    assert found
    return found


def test_the_operator_lacked_no_right(requests: list[Event]) -> None:
    assert [f"{event['verb']} {event['requestURI']}" for event in requests if is_lacking(event)] == []


@pytest.mark.needs_whole_folder
def test_the_operator_used_every_right_that_it_has(platform: Platform, requests: list[Event]) -> None:
    manifests = installed(platform)
    rights = granted(manifests, account_of(manifests), OPERATOR_NAMESPACE)
    assert rights
    uses = used(requests)
    assert [str(right) for right in sorted(rights) if not any(right.covers(use) for use in uses)] == []


def test_agents_asked_nothing_of_the_api_server_and_have_no_token(platform: Platform, namespace: Namespace) -> None:
    namespace.apply(agent_deployment("triage"))
    namespace.wait_ready("triage")
    assert namespace.ask("triage", "Hello").status == 200
    events = events_since(platform.cluster.paths, platform.begun)
    operator = of_account(events, account_of(installed(platform)), OPERATOR_NAMESPACE)
    accounts = {(right.namespace, right.name) for right in used(operator) if is_made_account(right)}
    assert (namespace.name, "triage") in accounts
    users = {user(*account) for account in accounts}
    assert [event["requestURI"] for event in events if event["user"]["username"] in users] == []
    tokens = {(right.namespace, right.name) for right in used(events) if right.resource == "serviceaccounts/token"}
    assert accounts & tokens == set()


def is_made_account(right: Right) -> bool:
    return (right.verb, right.resource) == ("create", "serviceaccounts")
