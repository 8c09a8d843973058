"""The chart's values: the only definition of `values.yaml`, its schema, and the table in the chart's README."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from mizzen_api.base import ApiModel
from mizzen_api.pod import LabelKey, LabelValue, LocalObjectReference, Resources, Toleration

CHECKOUT: Final = Path(__file__).resolve().parent.parent
VERSION: Final[str] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
"""The project's version, which the chart and its images carry too."""

ImageReference = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^\S+$")]
Namespace = Annotated[str, StringConstraints(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]


class Image(ApiModel):
    """The operator's image."""

    repository: ImageReference = "localhost/mizzen-operator"
    """The image without tag and digest."""
    tag: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$")] = ""
    """Its tag; the chart's `appVersion` when empty."""
    digest: Annotated[str, StringConstraints(pattern=r"^(sha256:[0-9a-f]{64})?$")] = ""
    """Its digest, `sha256:…`, used instead of the tag."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When kubelet pulls it."""


class CustomResourceDefinitions(ApiModel):
    """What happens to the CRD."""

    enabled: bool = True
    """Install the CRD with the chart, and upgrade it with the chart; with it come the rights on AgentDeployments of the
    cluster's own roles admin, edit and view."""
    keep: bool = True
    """Leave the CRD, and with it every AgentDeployment, in the cluster when the chart is uninstalled. When false,
    uninstalling deletes all of them, with their pods, in every namespace; and so does an upgrade with `crds.enabled`
    false, unless one with `crds.keep` true came before it."""


class ChartValues(ApiModel):
    """What the chart takes."""

    image: Image = Image()
    """The operator's image."""
    runtime_image: ImageReference = f"localhost/mizzen-runtime:{VERSION}"
    """The image that runs agents which name no image of their own. An agent takes it up when it is first applied and
    with each edit; what runs stays as it is when the chart is upgraded."""
    max_concurrent_runtime_updates: Annotated[int, Field(ge=0, le=1000)] = 0
    """How many agents at a time the operator moves by itself to what this release would run for them: a new
    `runtimeImage`, or pods rendered in a new way. The next one moves when one of them is rolled out, so that a release
    which does not start stops there, and the old pods serve on. With 0 each agent moves with its next edit."""
    replicas: Annotated[int, Field(ge=1, le=5)] = 2
    """How many operators there are. One of them works; the others know what it knows, and one takes over within the 15
    seconds of a Lease when it is gone, at once when it ends in order."""
    image_pull_secrets: Annotated[tuple[LocalObjectReference, ...], Field(max_length=16)] = ()
    """Secrets for the registry of the operator's image, such as `[{name: registry}]`."""
    watch_namespaces: Annotated[
        tuple[Namespace, ...], Field(max_length=256, json_schema_extra={"uniqueItems": True})
    ] = ()
    """The namespaces whose AgentDeployments are served; all of them when empty. With a list the chart makes Roles in
    those namespaces, which must exist, and no ClusterRole for the operator."""
    crds: CustomResourceDefinitions = CustomResourceDefinitions()
    """What happens to the CRD."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What the operator logs."""
    resources: Resources = Resources(requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "512Mi"})
    """Requests and limits of each operator. Without a limit on CPU, which would only slow it down."""
    pod_annotations: dict[LabelKey, str] = Field({}, max_length=64)
    """Further annotations of the operator's pods; they win over the chart's own, such as `prometheus.io/scrape`."""
    node_selector: dict[LabelKey, LabelValue] = Field({}, max_length=64)
    """Labels that the operator's nodes must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=64)] = ()
    """Taints that the operator's pods tolerate."""
    affinity: dict[str, Any] = Field({}, max_length=3)
    """Kubernetes' own affinity for the operator's pods, instead of the chart's: on different nodes if possible."""
    priority_class_name: Annotated[str, StringConstraints(max_length=253)] = ""
    """Priority class of the operator's pods."""
    enabled: Literal[True] = True
    """An umbrella chart's `condition` reads this value; alone, the chart cannot be switched off."""
    global_: dict[str, Any] = Field({}, alias="global")
    """Helm puts an umbrella chart's shared values here; the chart reads none of them."""
