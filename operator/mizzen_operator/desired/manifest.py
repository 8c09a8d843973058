"""What every manifest has in common: name, labels and owner."""

from typing import Any, TypeAlias

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.names import API_VERSION, APP_NAME, KIND, LABEL_INSTANCE, LABEL_MANAGED_BY, LABEL_NAME, MANAGED_BY

Manifest: TypeAlias = dict[str, Any]
"""An object as the API server takes it, built here and sent as it is."""


def selector_labels(name: str) -> dict[str, str]:
    """Give the labels that an agent's pods are found by; a Deployment's selector can never change."""
    return {LABEL_NAME: APP_NAME, LABEL_INSTANCE: name, LABEL_MANAGED_BY: MANAGED_BY}


def owned_selector(name: str) -> str:
    """Give the same as the text that `status.selector` and `kubectl -l` take."""
    return ",".join(f"{key}={value}" for key, value in selector_labels(name).items())


def metadata(agent: AgentDeployment, name: str, **labels: str) -> dict[str, Any]:
    """Give the metadata of a child of `agent`.

    `blockOwnerDeletion` is left out: where owner references are enforced it needs a right on the resource's
    finalizers, and nothing here waits for a foreground deletion.
    """
    return {
        "name": name,
        "namespace": agent.metadata.namespace,
        "labels": {**selector_labels(agent.metadata.name), **labels},
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "name": agent.metadata.name,
                "uid": agent.metadata.uid,
                "controller": True,
            }
        ],
    }
