"""The golden texts: every state that a pod or a resource can be in, how it comes about, and what is said then.

Names that differ from run to run are written as <namespace> and <revision>.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.namespace import agent_deployment

STAND_IN = "localhost/mizzen-test-stand-in:1"
"""The image of `stand_in/agent.c`."""
NO_ENTRYPOINT = "localhost/mizzen-test-no-entrypoint:1"
"""An image without the program that it names."""
FOREIGN = "localhost/mizzen-test-foreign:1"
"""An image whose program no node can run."""

UNKNOWN = "Unknown NotYetKnown: No pod of this revision says at present whether it accepts the configuration."
RESOLVED = "True Resolved: The runtime accepted the configuration, and every referenced object and key is there."
NO_REPORT = "Unknown NoReport: No pod has said yet how it is."
HEALTHY = "True Healthy: Every pod says that it is well."
SECURE = "True AsConfigured: The pods say that nothing in them is for tests only."
AVAILABLE = "True Available: At least one pod serves requests."
EARLIER = (
    "True EarlierRevisionServes: Pods of an earlier revision serve requests; Ready says what keeps the newest one from "
    "doing so."
)
RUNTIME = "(Does the image build on Mizzen's runtime?)"
LOGS = "(See `kubectl logs --previous` of the pod. Does the image build on Mizzen's runtime, for the node's platform?)"
IMAGE = "(Correct spec.pod.image, or give the registry's credentials in spec.pod.imagePullSecrets.)"
NODES = "(Add nodes, or correct spec.pod.resources, spec.pod.nodeSelector, spec.pod.tolerations or spec.pod.affinity.)"
OOM = (
    "False OOMKilled: The container took more memory than it may, and was killed. "
    "(Raise spec.pod.resources.limits.memory.)"
)
NO_IMAGE = (
    'False ImageUnavailable: ErrImageNeverPull: Container image "localhost/nothing:1" is not present with pull policy '
    f"of Never {IMAGE}"
)

SLOW_REGISTRY_PORT = 18081
"""On the node's own loopback: a registry that accepts connections and never answers."""
PULLING = (
    "StartingSlowly: A pod takes longer than 30 s to start. Pulling image "
    f'"127.0.0.1:{SLOW_REGISTRY_PORT}/team/agent:1". (See `kubectl describe` of the pod.)'
)
REFUSED_START = (
    "StartingSlowly: A pod takes longer than 30 s to start. Startup probe failed: HTTP probe failed with statuscode: "
    "503. (See `kubectl describe` of the pod.)"
)
NO_LISTENER = (
    'StartingSlowly: A pod takes longer than 30 s to start. Startup probe failed: Get ":8081/startupz": connect: '
    "connection refused. (See `kubectl describe` of the pod.)"
)
NO_SECRET = (
    'False ConfigInvalid: CreateContainerConfigError: secret "crm" not found (Create it, or correct spec.pod.env.)'
)
NO_KEY = (
    "False ConfigInvalid: CreateContainerConfigError: couldn't find key token in Secret <namespace>/there (Create it, "
    "or correct spec.pod.env.)"
)

NO_CONFIG_MAP = (
    'False MountFailed: FailedMount: MountVolume.SetUp failed for volume "config" : configmap '
    '"a-config-map-is-missing-<revision>" not found (Create what is missing; kubelet tries again by itself.)'
)

SMALL: Mapping[str, Any] = {"requests": {"cpu": "1m", "memory": "4Mi"}, "limits": {"memory": "16Mi"}}


@dataclass(frozen=True, kw_only=True)
class State:
    """One state. A condition that is not given repeats what Ready says."""

    ready: str
    """`Status Reason: message`, as the others."""
    available: str = ""
    progressing: str = ""
    config_resolved: str = UNKNOWN
    can_be_asked: bool = False
    """A pod has started, so that the operator reads what it says of itself: that it is well."""
    behaves: Mapping[str, Any] = field(default_factory=dict)
    """What the container is told to do; see `stand_in/agent.c`."""
    pod: Mapping[str, Any] = field(default_factory=dict)
    """`spec.pod`, laid over one that runs the stand-in."""
    then: Mapping[str, Any] | None = None
    """What `spec.pod` becomes when the first revision is ready."""
    namespace: str = "plain"
    """One of `NAMESPACES`."""
    passes: bool = False
    """The state is over after a moment: it is enough that it was told."""
    only_full: bool = False
    """It takes minutes."""

    def manifest(self, name: str, pod: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
        """Give the resource, with `pod` laid over its `spec.pod`, and `spec` over the rest."""
        env = [{"name": variable, "value": str(value)} for variable, value in self.behaves.items()]
        base = {"image": STAND_IN, "imagePullPolicy": "Never", "resources": SMALL, "env": env}
        return agent_deployment(name, pod={**base, **self.pod, **(pod or {})}, **spec)

    def says(self) -> dict[str, str]:
        """Give the golden texts by condition."""
        return {
            "Ready": self.ready,
            "Available": self.available or self.ready,
            "Progressing": self.progressing or self.ready,
            "ConfigResolved": self.config_resolved,
            "Healthy": HEALTHY if self.can_be_asked else NO_REPORT,
            "Secure": SECURE if self.can_be_asked else NO_REPORT,
        }


NAMESPACES: dict[str, dict[str, Any] | None] = {
    "plain": None,
    "pods": {"kind": "ResourceQuota", "spec": {"hard": {"pods": "0"}}},
    "memory": {"kind": "ResourceQuota", "spec": {"hard": {"limits.memory": "8Mi"}}},
    "objects": {"kind": "ResourceQuota", "spec": {"hard": {"count/configmaps": "1"}}},
    "mount": None,
    "range": {"kind": "LimitRange", "spec": {"limits": [{"type": "Container", "max": {"memory": "8Mi"}}]}},
}
"""By name: what stands in the way there. Each namespace has one ConfigMap from the start, `kube-root-ca.crt`."""


@dataclass(frozen=True)
class Policy:
    """An admission policy that refuses what it applies to in the namespace `plain`."""

    group: str
    resource: str
    applies: str
    """An expression of CEL."""
    message: str


POLICIES = {
    "no-pods": Policy("", "pods", "object.metadata.?labels.?policy.orValue('') == 'no-pods'", "no agents on Fridays"),
    "no-deployments": Policy(
        "apps", "deployments", "object.metadata.name == 'policy-refuses-the-deployment'", "ask the platform team"
    ),
}

LOST_NODE: dict[str, State] = {
    "its-node-is-lost": State(
        ready=(
            "False NodeNotReady: The node of a pod no longer answers. (See `kubectl get nodes`; its pods are replaced "
            "after five minutes.)"
        ),
        config_resolved=RESOLVED,
        can_be_asked=True,
    ),
    "its-node-does-not-begin": State(
        ready=(
            "False StartingSlowly: A pod takes longer than 30 s to start. Its node has not made its container yet. "
            "(See `kubectl describe` of the pod.)"
        ),
        progressing=(
            "True StartingSlowly: A pod takes longer than 30 s to start. Its node has not made its container yet. "
            "(See `kubectl describe` of the pod.)"
        ),
    ),
}
"""What is said when kubelet no longer answers: of an agent that was ready, and of one that is applied then."""

STATES: dict[str, State] = {
    "all-is-well": State(
        behaves={"STUBBORN": 1},
        ready="True Ready: Every pod serves this generation.",
        available=AVAILABLE,
        progressing="False RolledOut: The rollout is complete.",
        config_resolved=RESOLVED,
        can_be_asked=True,
    ),
    # The image.
    "the-images-name-is-none": State(
        pod={"image": "localhost/NoThing:1"},
        ready=(
            'False ImageUnavailable: InvalidImageName: Failed to apply default image tag "localhost/NoThing:1": '
            'couldn\'t parse image name "localhost/NoThing:1": invalid reference format: repository name (NoThing) '
            f"must be lowercase {IMAGE}"
        ),
    ),
    "the-image-is-not-there-and-never-pulled": State(pod={"image": "localhost/nothing:1"}, ready=NO_IMAGE),
    "the-registry-does-not-answer": State(
        pod={"image": "127.0.0.1:1/team/agent:1", "imagePullPolicy": "IfNotPresent"},
        ready=(
            'False ImageUnavailable: ErrImagePull: failed to pull and unpack image "127.0.0.1:1/team/agent:1": failed '
            'to resolve reference "127.0.0.1:1/team/agent:1": failed to do request: Head '
            f'"http://127.0.0.1:1/v2/team/agent/manifests/1": connect: connection refused {IMAGE}'
        ),
    ),
    "the-registry-is-slow": State(
        pod={"image": f"127.0.0.1:{SLOW_REGISTRY_PORT}/team/agent:1", "imagePullPolicy": "IfNotPresent"},
        ready=f"False {PULLING}",
        progressing=f"True {PULLING}",
        passes=True,
    ),
    "the-image-has-no-such-program": State(
        pod={"image": NO_ENTRYPOINT},
        ready=(
            "False PodFailing: The container cannot be started: failed to create containerd task: failed to create "
            "shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "
            f'"/python": stat /python: no such file or directory: unknown {RUNTIME}'
        ),
    ),
    "the-program-is-for-another-platform": State(
        pod={"image": FOREIGN},
        ready=f"False PodFailing: The container ended with exit code 1. {LOGS}",
    ),
    # The process.
    "the-process-fails-without-a-word": State(
        behaves={"EXIT": 3},
        ready=f"False PodFailing: The container ended with exit code 3. {LOGS}",
    ),
    "the-process-fails-with-a-word": State(
        behaves={"EXIT": 3, "LAST_WORDS": "no such module: acme"},
        ready=f"False PodFailing: The container ended with exit code 3: no such module: acme {LOGS}",
    ),
    "the-process-ends-by-itself": State(
        behaves={"EXIT": 0},
        ready=f"False PodFailing: The container ended with exit code 0. {LOGS}",
    ),
    "the-process-fails-after-it-was-ready": State(
        behaves={"EXIT": 3, "AFTER": 6},
        ready=f"False PodFailing: The container ended with exit code 3. {LOGS}",
        passes=True,
    ),
    "memory-does-not-suffice-for-the-container": State(
        pod={"resources": {"requests": {"cpu": "1m"}, "limits": {"memory": "1Mi"}}},
        ready=OOM,
        passes=True,
    ),
    # The container runtime learns of an end and of its reason by two ways: now and then it tells the end without it.
    "memory-does-not-suffice-to-start": State(behaves={"TAKE": 64}, ready=OOM, passes=True),
    "memory-does-not-suffice-later": State(behaves={"TAKE": 64, "AFTER": 6}, ready=OOM, passes=True),
    # Probes.
    "the-startup-probe-is-refused": State(
        behaves={"STARTUP": 503},
        ready=f"False {REFUSED_START}",
        progressing=f"True {REFUSED_START}",
        passes=True,
    ),
    "nothing-listens": State(
        behaves={"PORT": 0},
        ready=f"False {NO_LISTENER}",
        progressing=f"True {NO_LISTENER}",
        passes=True,
    ),
    "the-startup-probe-never-succeeds": State(
        behaves={"STARTUP": 503},
        ready=(
            "False ProbeFailing: The container was restarted. Startup probe failed: HTTP probe failed with statuscode: "
            "503. (See `kubectl logs --previous` of the pod.)"
        ),
        only_full=True,
    ),
    "the-readiness-probe-is-refused": State(
        behaves={"READINESS": 503},
        ready=(
            "False ProbeFailing: Readiness probe failed: HTTP probe failed with statuscode: 503. (See `kubectl logs` "
            "of the pod.)"
        ),
        config_resolved=RESOLVED,
        can_be_asked=True,
    ),
    "the-readiness-probe-gets-no-answer": State(
        behaves={"READINESS": 0},
        ready=(
            'False ProbeFailing: Readiness probe failed: Get ":8081/readyz": no answer in time. (See `kubectl logs` of '
            "the pod.)"
        ),
        config_resolved=RESOLVED,
        can_be_asked=True,
    ),
    "the-liveness-probe-is-refused": State(
        behaves={"LIVENESS": 503},
        ready=(
            "False ProbeFailing: The container was restarted. Liveness probe failed: HTTP probe failed with "
            "statuscode: 503. (See `kubectl logs --previous` of the pod.)"
        ),
        passes=True,
    ),
    # The node.
    "no-node-has-the-label": State(
        pod={"nodeSelector": {"disk": "gold"}},
        ready=(
            f"False Unschedulable: No node can take the pod: node(s) didn't match Pod's node affinity/selector {NODES}"
        ),
    ),
    "no-node-is-that-large": State(
        pod={"resources": {"requests": {"cpu": "1000"}}},
        ready=f"False Unschedulable: No node can take the pod: Insufficient cpu {NODES}",
    ),
    "the-node-cannot-make-the-network": State(
        pod={"annotations": {"kubernetes.io/ingress-bandwidth": "plenty"}},
        ready=(
            "False SandboxFailed: FailedCreatePodSandBox: Failed to create pod sandbox: failed to setup network for "
            "sandbox (id): get cni namespace options: reading pod bandwidth annotations: quantities must match the "
            "regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$' (Have the node's container runtime and "
            "network looked at.)"
        ),
    ),
    "the-node-puts-the-pod-out": State(
        behaves={"SHOUT": 8, "AFTER": 2},
        pod={"resources": {**SMALL, "limits": {"memory": "64Mi", "ephemeral-storage": "2Mi"}}},
        ready=(
            "False Evicted: Evicted: Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "
            "(Correct spec.pod.resources, or give the nodes more room.)"
        ),
        passes=True,
    ),
    # What the pod refers to.
    "a-variables-secret-is-missing": State(
        pod={"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "token"}}}]},
        ready=NO_SECRET,
        config_resolved=NO_SECRET,
    ),
    "a-variables-key-is-missing": State(
        pod={"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "there", "key": "token"}}}]},
        ready=NO_KEY,
        config_resolved=NO_KEY,
    ),
    "the-service-account-is-missing": State(
        pod={"serviceAccountName": "nobody"},
        ready=(
            "False PodRefused: Pods: forbidden: error looking up service account <namespace>/nobody: serviceaccount "
            '"nobody" not found (Create the service account, or correct spec.pod.serviceAccountName.)'
        ),
    ),
    "the-priority-class-is-missing": State(
        pod={"priorityClassName": "gold"},
        ready=(
            "False PodRefused: Pods: forbidden: no PriorityClass with name gold was found (Create the priority class, "
            "or correct spec.pod.priorityClassName.)"
        ),
    ),
    "a-config-map-is-missing": State(
        # Its pods were gone when it was deleted, and no operator ran; see `world`.
        namespace="mount",
        ready=NO_CONFIG_MAP,
        config_resolved=NO_CONFIG_MAP,
        passes=True,
    ),
    # Admission.
    "a-quota-of-pods-is-used-up": State(
        namespace="pods",
        ready=(
            "False PodRefused: Pods: forbidden: exceeded quota: mizzen-test, requested: pods=1, limited: pods=0 (Raise "
            "the quota, or ask for less in spec.pod.resources and spec.replicas.)"
        ),
    ),
    "a-quota-of-memory-is-used-up": State(
        namespace="memory",
        ready=(
            "False PodRefused: Pods: forbidden: exceeded quota: mizzen-test, requested: limits.memory=16Mi, limited: "
            "limits.memory=8Mi (Raise the quota, or ask for less in spec.pod.resources and spec.replicas.)"
        ),
    ),
    "a-quota-of-memory-asks-for-a-limit": State(
        namespace="memory",
        pod={"resources": {"requests": {"cpu": "1m"}}},
        ready=(
            "False PodRefused: Pods: forbidden: failed quota: mizzen-test: must specify limits.memory for: agent (Give "
            "spec.pod.resources what the quota asks for, or have the quota changed.)"
        ),
    ),
    "a-quota-of-objects-is-used-up": State(
        namespace="objects",
        ready=(
            "False PodRefused: ConfigMap a-quota-of-objects-is-used-up-<revision> was refused: configmaps "
            '"a-quota-of-objects-is-used-up-<revision>" is forbidden: exceeded quota: mizzen-test, requested: '
            "count/configmaps=1, limited: count/configmaps=1 (Raise the quota, or delete what is no longer needed.)"
        ),
    ),
    "a-limit-range-allows-less": State(
        namespace="range",
        ready=(
            "False PodRefused: Pods: forbidden: maximum memory usage per Container is 8Mi, but limit is 16Mi (Correct "
            "spec.pod.resources, or have the namespace's LimitRange changed.)"
        ),
    ),
    "a-policy-refuses-the-pods": State(
        pod={"labels": {"policy": "no-pods"}},
        ready=(
            "False PodRefused: Pods: forbidden: ValidatingAdmissionPolicy '<namespace>-no-pods' with binding "
            "'<namespace>-no-pods' denied request: no agents on Fridays (Correct spec.pod, or have the policy of the "
            "cluster or the namespace loosened.)"
        ),
    ),
    "policy-refuses-the-deployment": State(
        ready=(
            "False PodRefused: Deployment policy-refuses-the-deployment was refused: deployments.apps "
            "\"policy-refuses-the-deployment\" is forbidden: ValidatingAdmissionPolicy '<namespace>-no-deployments' "
            "with binding '<namespace>-no-deployments' denied request: ask the platform team (Have the policy of the "
            "cluster or the namespace loosened, or change what it objects to.)"
        ),
    ),
    # A new revision in trouble beside the one that served before.
    "a-new-revision-has-no-image": State(
        then={"image": "localhost/nothing:1"},
        ready=NO_IMAGE,
        available=EARLIER,
        can_be_asked=True,
    ),
    "a-new-revision-has-no-image-and-the-old-one-fails": State(
        behaves={"EXIT": 3, "AFTER": 12},
        then={"image": "localhost/nothing:1"},
        ready=NO_IMAGE,
        available=f"False PodFailing: The container ended with exit code 3. {LOGS}",
        passes=True,
    ),
}
