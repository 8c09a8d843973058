"""`mizzen crd`: the CustomResourceDefinition as YAML."""

import yaml

from mizzen_api.crd import custom_resource_definition


def crd_yaml() -> str:
    """Give the CRD for `kubectl apply -f -`."""
    return yaml.safe_dump(custom_resource_definition(), sort_keys=False, width=120, allow_unicode=True)
