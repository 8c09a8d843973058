"""Other people's words, made fit for a message: short, and the same at each attempt.

A status that is written because a message changed wakes the operator again. So whatever changes by itself is left out:
addresses and ports, names of pods, ids, counters.
"""

import re

MAX_DETAIL = 1024
"""Characters that are repeated of what somebody else said."""

_ADDRESS = r"(?:\[[0-9a-fA-F:.]+\]|\d+(?:\.\d+){3}):\d+"
_CHANGING: tuple[tuple[str, str], ...] = (
    (r"rpc error: code = \w+ desc = ", ""),
    (rf"{_ADDRESS}->", ""),  # a connection's own end: another port at each attempt
    (rf"\b(dial|read|write) (tcp|udp) {_ADDRESS}: ", ""),  # a name may have several addresses
    (r'"[0-9a-f]{64}"', "(id)"),
    (r"/proc/\d+/", "/proc/(id)/"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "(id)"),
    (r"^\(combined from similar events\): ", ""),
)
_IN_PROBE: tuple[tuple[str, str], ...] = (
    (r'"https?://[^/"]*(:\d+/)', r'"\1'),  # the pod's own address
    (r'": .*\(Client\.Timeout exceeded[^)]*\)', '": no answer in time'),
)


def steady(text: str) -> str:
    """Give a text in one line, without what changes by itself, cut where it is too long."""
    text = " ".join(text.split())
    for pattern, replacement in _CHANGING:
        text = re.sub(pattern, replacement, text)
    return text if len(text) <= MAX_DETAIL else f"{text[:MAX_DETAIL]}…"


def steady_probe(text: str) -> str:
    """Give what kubelet says of a failed probe: `Startup probe failed: Get ":8081/startupz": connection refused`."""
    for pattern, replacement in _IN_PROBE:
        text = re.sub(pattern, replacement, text)
    return steady(text)


def steady_refusal(text: str) -> str:
    """Give what admission says, without the name of a pod and without what of a quota is used at the moment."""
    text = re.sub(r'^pods? "[^"]*" (is )?', "Pods: ", text)
    return re.sub(r", used: \S+(?=, limited: )", "", text)


def steady_schedule(text: str) -> str:
    """Give what the scheduler says, without the numbers of nodes: each of its reasons once, in alphabetical order.

    `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}. preemption: 0/3 nodes …`
    """
    verdict = text.partition(" preemption: ")[0]
    head, _, reasons = verdict.partition(" nodes are available: ")
    if not re.fullmatch(r"\d+/\d+", head):
        return steady(verdict)
    told = {re.sub(r"^\d+ ", "", reason) for reason in re.split(r", (?=\d+ )", reasons.removesuffix("."))}
    return steady("; ".join(sorted(told)))


def steady_eviction(text: str) -> str:
    """Give what kubelet says of a pod that it puts out or does not let in, without what was used at the moment."""
    text = re.sub(r" (Threshold quantity:|(Container|Pod) \S+ was using ).*", "", text)
    return steady(re.sub(r", used: \d+", "", text))


_QUOTA = "exceeded quota"
_REFUSALS = (
    (_QUOTA, "Raise the quota, or ask for less in spec.pod.resources and spec.replicas."),
    ("failed quota", "Give spec.pod.resources what the quota asks for, or have the quota changed."),
    ("serviceaccount", "Create the service account, or correct spec.pod.serviceAccountName."),
    ("PriorityClass", "Create the priority class, or correct spec.pod.priorityClassName."),
    (" usage per ", "Correct spec.pod.resources, or have the namespace's LimitRange changed."),
)


def pod_refusal_remedy(refusal: str) -> str:
    """Give what to do about a pod that admission refuses."""
    fitting = (remedy for mark, remedy in _REFUSALS if mark in refusal)
    return next(fitting, "Correct spec.pod, or have the policy of the cluster or the namespace loosened.")


def refusal_remedy(refusal: str) -> str:
    """Give what to do about another object that the API server does not let the operator write."""
    if _QUOTA in refusal:
        return "Raise the quota, or delete what is no longer needed."
    if " cannot " in refusal:
        return "Give the operator the right: the chart's role has all that it needs."
    return "Have the policy of the cluster or the namespace loosened, or change what it objects to."
