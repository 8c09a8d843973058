"""What a pod says of a mounted Secret or ConfigMap that is missing, or lacks a key: its words and its remedy.

What only Kubernetes can see, such as a variable's Secret, the operator's `status.pod_status` and `pod_events` tell.
"""

from typing import Literal

Kind = Literal["ConfigMap", "Secret"]

OBJECT_IS_MISSING = "is missing, or holds no keys"
"""Said of an object all of whose keys are used."""
KEY_IS_MISSING = "the key or the whole object is missing"
"""Said of a key, where object and key are named beside it."""


def object_or_key_is_missing(kind: Kind, name: str, key: str) -> str:
    """Say so. Kubelet mounts neither, and shows no difference between the two."""
    return f"{kind} {name!r} or its key {key!r} is missing"


def how_to_create(kind: Kind, name: str, key: str, namespace: str, value: str = "<value>") -> str:
    """Say how an object with a key is made.

    Args:
        kind: Of the object.
        name: Its name.
        key: The key that is needed.
        namespace: Where it belongs.
        value: What stands for the value; with `@` in front it stands for a file.
    """
    command = "secret generic" if kind == "Secret" else "configmap"
    given = f"--from-file={key}={value[1:]}" if value.startswith("@") else f"--from-literal={key}={value}"
    return (
        f"kubectl create {command} {name} --namespace {namespace} {given}, or add the key to it if the {kind} is there"
    )
