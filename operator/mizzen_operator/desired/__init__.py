"""Which objects an AgentDeployment gets: pure functions from the resource to manifests, one module for each kind."""

from mizzen_operator.desired.agent import Desired, InvalidSpecError, build_desired
from mizzen_operator.desired.manifest import Manifest, owned_selector

__all__ = ["Desired", "InvalidSpecError", "Manifest", "build_desired", "owned_selector"]
