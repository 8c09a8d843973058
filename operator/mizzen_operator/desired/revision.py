"""A revision: all that runs in an agent's pods, and its name.

Whatever changes what a pod runs makes a new revision, and rolls: the agent, the names, order and addresses of its
models, the list of its services and their settings in the resource itself, its limits, when it counts as healthy, the
settings of its pods, the image. The number of pods does not, nor does what the pods take up while they run: the level
of their log (`live_config_map`). The contents of ConfigMaps and Secrets that the resource refers to do not either: the
pods reload them (`mizzen_runtime.mounted_files`).

A revision is rendered from a spec, and kept whole in its ConfigMap: another release of the operator, which renders the
same spec in another way or has another default image, reads it back and leaves the pods as they are. What is read back
must have the name that it is read by, so that nobody who may write ConfigMaps can have pods of his own run.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mizzen_api.agentdeployment import AgentDeployment
from mizzen_api.contract import CONFIG_FILE
from mizzen_api.names import LABEL_REVISION
from mizzen_api.rendering import runtime_config
from mizzen_api.spec_problems import spec_problems
from mizzen_operator.desired.config_map import POD_TEMPLATE_KEY, SPEC_HASH_KEY, size_problem
from mizzen_operator.desired.manifest import Manifest
from mizzen_operator.desired.pod_template import build_pod_template
from mizzen_operator.desired.problems import InvalidSpecError
from mizzen_operator.desired.volumes import LIVE_VOLUME

REVISION_LENGTH = 10
_ROUNDS = 1000
"""Of the hash: a name has 47 bits, which alone would be too few to keep somebody from finding other data for it."""
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' own for generated names: no vowels, so that no word comes out, and nothing that looks like another."""


@dataclass(frozen=True)
class Revision:
    """All that runs in the pods of an agent."""

    name: str
    """Hash of the rest."""
    data: Mapping[str, str]
    """Of its ConfigMap, to the letter: that is immutable, and another release may write JSON in another way."""

    @property
    def spec_hash(self) -> str:
        """Hash of the spec that it was rendered from: see `spec_hash_of`."""
        return self.data[SPEC_HASH_KEY]

    @property
    def pod_template(self) -> Manifest:
        """The template of its pods."""
        template: Manifest = json.loads(self.data[POD_TEMPLATE_KEY])
        return template

    @property
    def takes_live_settings(self) -> bool:
        """Whether its pods take up settings while they run; those that an earlier release rendered may not."""
        return any(volume["name"] == LIVE_VOLUME for volume in self.pod_template["spec"]["volumes"])

    @property
    def image(self) -> str:
        """What the pods run."""
        return str(self.pod_template["spec"]["containers"][0]["image"])


def render_revision(agent: AgentDeployment, runtime_image: str) -> Revision:
    """Render what an agent's spec asks for.

    Args:
        agent: The resource as the API server holds it.
        runtime_image: What runs if the resource names no image.

    Raises:
        InvalidSpecError: The resource passes its schema and still cannot be built.
    """
    name = name_of(_render(agent, "", runtime_image))
    data = _render(agent, name, runtime_image)
    problems = (*spec_problems(agent), *filter(None, [size_problem(data)]))
    if problems:
        raise InvalidSpecError(problems)
    return Revision(name, data)


def read_revision(config_map: Mapping[str, Any]) -> Revision | None:
    """Read a revision back from its ConfigMap; None if what that holds is not the revision of its name."""
    labels, data = config_map["metadata"].get("labels") or {}, config_map.get("data") or {}
    name = labels.get(LABEL_REVISION, "")
    if not name or SPEC_HASH_KEY not in data or POD_TEMPLATE_KEY not in data:
        return None
    nameless = {key: text.replace(name, "") for key, text in data.items()}
    return Revision(name, data) if name_of(nameless) == name else None


def _render(agent: AgentDeployment, name: str, runtime_image: str) -> dict[str, str]:
    """Give the data of a revision's ConfigMap under a name, which may be empty while it is being computed."""
    return {
        CONFIG_FILE: runtime_config(agent, name).model_dump_json(exclude_none=True),
        POD_TEMPLATE_KEY: json.dumps(build_pod_template(agent, name, runtime_image), separators=(",", ":")),
        SPEC_HASH_KEY: spec_hash_of(agent),
    }


def spec_hash_of(agent: AgentDeployment) -> str:
    """Give a hash of what the author of a resource has written, apart from what makes no revision.

    Values that are the default count as not written, so that a default which a later CRD adds to stored resources is
    no edit.
    """
    written = agent.spec.model_dump(mode="json", exclude_defaults=True, exclude={"replicas", "logging"})
    return hashlib.sha256(_canonical(written)).hexdigest()[:16]


def name_of(nameless: Mapping[str, str]) -> str:
    """Name a revision by its data, rendered with an empty name."""
    digest = hashlib.pbkdf2_hmac("sha256", _canonical(nameless), LABEL_REVISION.encode(), _ROUNDS)
    number = int.from_bytes(digest, "big")
    characters = []
    for _ in range(REVISION_LENGTH):
        number, place = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[place])
    return "".join(characters)


def _canonical(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
