from pathlib import Path

import pytest

from mizzen_api.contract import RuntimeConfig, RuntimeModel, SecretSource
from mizzen_runtime.config import ConfigRefused, check_shape, read_config
from mizzen_runtime.mounted_secrets import MountedSecrets, read_secrets


def config_with_key(path: Path) -> RuntimeConfig:
    model = RuntimeModel(model="openai:gpt-5.2", api_key=SecretSource(name="llm", key="token", path=str(path)))
    return RuntimeConfig(namespace="support", name="triage", revision="r1", agent={}, models=(model,))


@pytest.mark.parametrize("content", [b"sk-1", b"sk-1\n", b"sk-1\r\n"])
def test_a_key_is_read_without_one_trailing_newline(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)

    assert read_secrets(config_with_key(tmp_path / "key")) == MountedSecrets({0: "sk-1"}, {}, ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "Secret 'llm' or its key 'token' is missing"),
        (b"", "key 'token' of Secret 'llm' is empty"),
        (b"\n", "key 'token' of Secret 'llm' is empty"),
        (b"sk-1\nsk-2\n", "key 'token' of Secret 'llm' holds a blank, a line break or a control character"),
        (b"sk 1", "key 'token' of Secret 'llm' holds a blank, a line break or a control character"),
        (b"sk-\xe2\x82\xac", "key 'token' of Secret 'llm' holds bytes that no key of an API has"),
    ],
)
def test_a_key_that_cannot_be_used_is_told_without_its_content(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)

    read = read_secrets(config_with_key(tmp_path / "key"))
    (problem,) = read.problems

    assert read.values == ()
    assert problem.field == "spec.models[0].apiKey.secretKeyRef"
    assert problem.message == message
    assert problem.remedy.startswith(
        "kubectl create secret generic llm --namespace support --from-literal=token=<the key>"
    )


def test_a_key_that_is_a_folder_is_told(tmp_path: Path) -> None:
    (problem,) = read_secrets(config_with_key(tmp_path)).problems

    assert problem.message == "key 'token' of Secret 'llm' cannot be read: Is a directory"


def test_an_unknown_contract_version_is_told_alone(tmp_path: Path) -> None:
    (tmp_path / "agent.json").write_text('{"contractVersion": 9, "whatever": 1}')

    with pytest.raises(ConfigRefused) as refused:
        read_config(tmp_path / "agent.json")

    assert str(refused.value) == (
        "contractVersion: this runtime does not know version 9, it knows 1; "
        "use a runtime image of the operator's release"
    )


def test_a_deeply_nested_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "agent.json").write_text("[" * 100_000)

    with pytest.raises(ConfigRefused, match="is no JSON"):
        read_config(tmp_path / "agent.json")


def test_the_shape_of_an_agent_is_checked_by_the_shared_mirror() -> None:
    problems = check_shape({"end_strategy": "never", "colour": "blue"})

    assert {problem.field for problem in problems} == {"spec.agent.end_strategy", "spec.agent.colour"}
