import copy
import re
from typing import Any

import pytest

from tests.unit.operator.agents import FULL_SPEC
from tests.unit.operator.builders import IMAGE, agent, desired_for


def revision(image: str = IMAGE, **changes: Any) -> str:
    return desired_for(agent("triage", **{**copy.deepcopy(FULL_SPEC), **changes}), image).revision.name


def with_pod(**changes: Any) -> str:
    return revision(pod={**FULL_SPEC["pod"], **changes})


def test_a_revision_is_ten_characters_that_are_safe_in_a_name() -> None:
    assert re.fullmatch(r"[bcdfghjklmnpqrstvwxz2456789]{10}", revision())


OWN_CODE: dict[str, Any] = {"agent": None, "vars": None, "secrets": None, "entrypoint": "acme_triage.agents:triage"}


def test_the_same_resource_has_the_same_revision() -> None:
    assert revision() == revision()


def test_the_number_of_pods_makes_no_revision() -> None:
    assert revision(replicas=7) == revision()


@pytest.mark.parametrize("logging", [None, {}, {"level": "error"}], ids=["left out", "empty", "error"])
def test_the_level_of_the_log_makes_no_revision(logging: dict[str, str] | None) -> None:
    assert revision(logging=logging) == revision()


def test_a_default_that_is_written_out_makes_no_revision() -> None:
    spelled = {**FULL_SPEC["agent"], "end_strategy": "graceful"}
    assert revision(agent=spelled) == revision()


@pytest.mark.parametrize(
    "changed",
    [
        {"agent": {**FULL_SPEC["agent"], "instructions": "Other."}},
        {"models": FULL_SPEC["models"][:2]},
        {"models": list(reversed(FULL_SPEC["models"]))},
        {"models": [{**FULL_SPEC["models"][0], "baseUrl": "http://other/v1"}, *FULL_SPEC["models"][1:]]},
        {"models": [{**FULL_SPEC["models"][0], "caBundle": None}, *FULL_SPEC["models"][1:]]},
        {"vars": {"team": "sales"}},
        {"monitoring": {"tracing": {**FULL_SPEC["monitoring"]["tracing"], "samplingRatio": 0.2}}},
        {"monitoring": None},
        {"services": [{**FULL_SPEC["services"][0], "settings": {"pool_size": 6}}, *FULL_SPEC["services"][1:]]},
        OWN_CODE,
    ],
)
def test_whatever_reaches_the_model_makes_a_revision(changed: dict[str, Any]) -> None:
    assert revision(**changed) != revision()


def test_another_entrypoint_makes_a_revision() -> None:
    assert revision(**OWN_CODE) != revision(**{**OWN_CODE, "entrypoint": "acme:other"})


@pytest.mark.parametrize(
    "changed",
    [
        {"image": "registry.example.com/acme/triage:8"},
        {"resources": None},
        {"env": []},
        {"nodeSelector": {}},
        {"labels": {"team": "sales"}},
        {"annotations": {}},
        {"serviceAccountName": None},
    ],
)
def test_a_setting_of_the_pod_makes_a_revision(changed: dict[str, Any]) -> None:
    assert with_pod(**changed) != revision()


def test_the_default_image_makes_a_revision_only_of_agents_that_run_it() -> None:
    assert with_pod() == revision("localhost/mizzen-runtime:2")
    assert desired_for(agent(), "a:1").revision != desired_for(agent(), "a:2").revision
