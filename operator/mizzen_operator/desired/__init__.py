"""Which objects an AgentDeployment gets: pure functions from the resource to manifests, one module for each kind."""

from mizzen_operator.desired.children import Desired, build_desired
from mizzen_operator.desired.config_map import SPEC_HASH_KEY, config_map_name
from mizzen_operator.desired.manifest import Manifest, owned_selector
from mizzen_operator.desired.problems import InvalidSpecError
from mizzen_operator.desired.revision import Revision, read_revision, render_revision
from mizzen_operator.desired.volumes import changes_by_itself

__all__ = [
    "SPEC_HASH_KEY",
    "Desired",
    "InvalidSpecError",
    "Manifest",
    "Revision",
    "build_desired",
    "changes_by_itself",
    "config_map_name",
    "owned_selector",
    "read_revision",
    "render_revision",
]
