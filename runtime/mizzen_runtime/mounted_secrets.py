"""Reads the values of Secrets that are mounted for models and capabilities, and says what is missing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mizzen_api.contract import RuntimeConfig, SecretSource
from mizzen_api.problems import Problem

KnownAs = TypeVar("KnownAs")


@dataclass(frozen=True)
class MountedSecrets:
    """What could be read."""

    model_keys: dict[int, str]
    """The models' keys, by place in the chain."""
    by_name: dict[str, str]
    """The values of `spec.secrets`, by the name that capabilities refer to."""
    problems: tuple[Problem, ...]
    """What is wrong with the others."""

    @property
    def values(self) -> tuple[str, ...]:
        """All that must not be repeated to anybody."""
        return (*self.model_keys.values(), *self.by_name.values())


def read_secrets(config: RuntimeConfig) -> MountedSecrets:
    """Read every value, without the newline that ends many a file."""
    models = (
        (index, model.api_key, f"spec.models[{index}].apiKey.secretKeyRef")
        for index, model in enumerate(config.models)
        if model.api_key is not None
    )
    named = (
        (secret.name, secret.source, f"spec.secrets[{index}].secretKeyRef")
        for index, secret in enumerate(config.secrets or ())
    )
    keys, key_problems = _read_all(models, config.namespace)
    values, problems = _read_all(named, config.namespace)
    return MountedSecrets(keys, values, (*key_problems, *problems))


def _read_all(
    sources: Iterable[tuple[KnownAs, SecretSource, str]], namespace: str
) -> tuple[dict[KnownAs, str], list[Problem]]:
    values: dict[KnownAs, str] = {}
    problems: list[Problem] = []
    for known_as, source, field in sources:
        value, fault = _read(Path(source.path))
        if fault is None:
            values[known_as] = value
        else:
            message = fault.format(name=source.name, key=source.key)
            problems.append(Problem(field=field, message=message, remedy=_create_secret(source, namespace)))
    return values, problems


def _read(path: Path) -> tuple[str, str | None]:
    try:
        value = path.read_bytes().removesuffix(b"\n").removesuffix(b"\r").decode("ascii")
    except FileNotFoundError:
        return "", "Secret {name!r} or its key {key!r} is missing"
    except OSError as error:
        return "", f"key {{key!r}} of Secret {{name!r}} cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return "", "key {key!r} of Secret {name!r} holds bytes that no key of an API has"
    if not value:
        return "", "key {key!r} of Secret {name!r} is empty"
    if not value.isprintable() or " " in value:
        return "", "key {key!r} of Secret {name!r} holds a blank, a line break or a control character"
    return value, None


def _create_secret(source: SecretSource, namespace: str) -> str:
    return (
        f"kubectl create secret generic {source.name} --namespace {namespace} --from-literal={source.key}=<the key>, "
        "or add the key to it if the Secret is there"
    )
