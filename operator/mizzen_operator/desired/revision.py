"""The name of a revision: a hash of all that runs in its pods.

Whatever changes what a pod runs makes a new revision: the agent, the names, order and addresses of its models, the
settings of its pods, the image. The number of pods and the contents of Secrets do not.
"""

import hashlib
import json

from mizzen_api.contract import RuntimeConfig
from mizzen_operator.desired.manifest import Manifest

REVISION_LENGTH = 10
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' own for generated names: no vowels, so that no word comes out, and nothing that looks like another."""


def revision_of(config: RuntimeConfig, pod_template: Manifest) -> str:
    """Name the revision that runs `config` in pods made from `pod_template`.

    Args:
        config: The configuration, rendered with an empty revision.
        pod_template: The pods' template, rendered with an empty revision.
    """
    content = {"config": config.model_dump(mode="json", exclude_none=True), "template": pod_template}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    number = int.from_bytes(hashlib.sha256(canonical.encode()).digest(), "big")
    characters = []
    for _ in range(REVISION_LENGTH):
        number, place = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[place])
    return "".join(characters)
