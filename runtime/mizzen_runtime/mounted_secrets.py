"""Reads what is mounted of Secrets and ConfigMaps for models and capabilities, and says what is missing."""

import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mizzen_api.contract import ConfigMapSource, RuntimeConfig, SecretSource
from mizzen_api.problems import Problem
from mizzen_runtime.missing_objects import Kind, how_to_create, object_or_key_is_missing
from mizzen_runtime.settings_files import without_newline

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
    authorities: Mapping[int, str] = field(default_factory=dict)
    """Certificates of authorities in PEM, for models that have a bundle of their own, by place in the chain."""

    def over(self, before: "MountedSecrets") -> "MountedSecrets":
        """Give these values, and for what is wrong or missing now those from before; without problems."""
        return MountedSecrets(
            model_keys={**before.model_keys, **self.model_keys},
            by_name={**before.by_name, **self.by_name},
            problems=(),
            authorities={**before.authorities, **self.authorities},
        )

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
    bundles = (
        (index, model.ca_bundle, f"spec.models[{index}].caBundle.configMapKeyRef")
        for index, model in enumerate(config.models)
        if model.ca_bundle is not None
    )
    keys, key_problems = _read_all(models, _key_in, config.namespace)
    values, problems = _read_all(named, _key_in, config.namespace)
    authorities, bundle_problems = _read_all(bundles, _certificates_in, config.namespace)
    return MountedSecrets(keys, values, (*key_problems, *problems, *bundle_problems), authorities)


def _read_all(
    sources: Iterable[tuple[KnownAs, SecretSource | ConfigMapSource, str]],
    value_in: Callable[[bytes], str],
    namespace: str,
) -> tuple[dict[KnownAs, str], list[Problem]]:
    values: dict[KnownAs, str] = {}
    problems: list[Problem] = []
    for known_as, source, place in sources:
        try:
            values[known_as] = _read(source, value_in)
        except _UnusableError as fault:
            problems.append(Problem(field=place, message=str(fault), remedy=_how_to_create(source, namespace)))
    return values, problems


class _UnusableError(Exception):
    """There is no value, or one that is of no use."""


def _read(source: SecretSource | ConfigMapSource, value_in: Callable[[bytes], str]) -> str:
    kind = _kind_of(source)
    named = f"key {source.key!r} of {kind} {source.name!r}"
    try:
        content = Path(source.path).read_bytes()
    except FileNotFoundError:
        raise _UnusableError(object_or_key_is_missing(kind, source.name, source.key)) from None
    except OSError as error:
        raise _UnusableError(f"{named} cannot be read: {error.strerror}") from error
    try:
        return value_in(content)
    except _UnusableError as fault:
        raise _UnusableError(f"{named} {fault}") from fault


def _key_in(content: bytes) -> str:
    """Give a key of an API, without the newline that ends many a file."""
    try:
        value = without_newline(content).decode("ascii")
    except UnicodeDecodeError:
        raise _UnusableError("holds bytes that no key of an API has") from None
    if not value:
        raise _UnusableError("is empty")
    if not value.isprintable() or " " in value:
        raise _UnusableError("holds a blank, a line break or a control character")
    return value


_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[\s!-~]*?-----END CERTIFICATE-----")


def _certificates_in(content: bytes) -> str:
    """Give the certificates, without the names and remarks that stand between them in many a bundle."""
    text = "\n".join(found.decode("ascii") for found in _CERTIFICATE.findall(content))
    if not text:
        raise _UnusableError("holds no certificates in PEM")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError):
        raise _UnusableError("holds a certificate that cannot be read") from None
    return text


def _kind_of(source: SecretSource | ConfigMapSource) -> Kind:
    return "Secret" if isinstance(source, SecretSource) else "ConfigMap"


def _how_to_create(source: SecretSource | ConfigMapSource, namespace: str) -> str:
    value = "<the key>" if isinstance(source, SecretSource) else "@<a file with certificates>"
    return how_to_create(_kind_of(source), source.name, source.key, namespace, value)
