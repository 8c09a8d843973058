"""Reads the models' keys from the Secrets that are mounted, and says what is missing."""

from pathlib import Path

from mizzen_api.contract import RuntimeConfig, SecretSource
from mizzen_api.problems import Problem


def read_keys(config: RuntimeConfig) -> tuple[dict[int, str], tuple[Problem, ...]]:
    """Read the keys of the models.

    Returns:
        The keys by their model's place in the chain, without the newline that ends many a file; and what is wrong with
        the others.
    """
    keys: dict[int, str] = {}
    problems: list[Problem] = []
    for index, model in enumerate(config.models):
        if model.api_key is None:
            continue
        key, fault = _read_key(Path(model.api_key.path))
        if fault is None:
            keys[index] = key
        else:
            problems.append(
                Problem(
                    field=f"spec.models[{index}].apiKey.secretKeyRef",
                    message=fault.format(name=model.api_key.name, key=model.api_key.key),
                    remedy=_create_secret(model.api_key, config.namespace),
                )
            )
    return keys, tuple(problems)


def _read_key(path: Path) -> tuple[str, str | None]:
    try:
        key = path.read_bytes().removesuffix(b"\n").removesuffix(b"\r").decode("ascii")
    except FileNotFoundError:
        return "", "Secret {name!r} or its key {key!r} is missing"
    except OSError as error:
        return "", f"key {{key!r}} of Secret {{name!r}} cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return "", "key {key!r} of Secret {name!r} holds bytes that no provider's key has"
    if not key:
        return "", "key {key!r} of Secret {name!r} is empty"
    if not key.isprintable() or " " in key:
        return "", "key {key!r} of Secret {name!r} holds a blank, a line break or a control character"
    return key, None


def _create_secret(source: SecretSource, namespace: str) -> str:
    return (
        f"kubectl create secret generic {source.name} --namespace {namespace} --from-literal={source.key}=<the key>, "
        "or add the key to it if the Secret is there"
    )
