"""What changes by itself is left out of other people's words, and what a person needs is not."""

import pytest

from mizzen_operator.status.wording import (
    MAX_DETAIL,
    refusal_remedy,
    steady,
    steady_eviction,
    steady_probe,
    steady_refusal,
    steady_schedule,
)

ID = "c23eb18dc6a34f9b766c25e74f4d0d2d32bcc4c9a1b2c3d4e5f60718293a4b5c"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('configmap "hello-abc" not found', 'configmap "hello-abc" not found'),
        ("two\n  lines", "two lines"),
        (
            "rpc error: code = NotFound desc = failed to pull and unpack image: not found",
            "failed to pull and unpack image: not found",
        ),
        (
            'Head "https://r.example/v2/": dial tcp 203.0.113.7:443: i/o timeout',
            'Head "https://r.example/v2/": i/o timeout',
        ),
        (
            "lookup r.example: read udp 10.0.0.2:54817->[fd00::1]:53: refused",
            "lookup r.example: refused",
        ),
        (
            f'failed to setup network for sandbox "{ID}": no addresses',
            "failed to setup network for sandbox (id): no addresses",
        ),
        (
            "back-off of pod hello_team(88f401b8-d41a-4bde-baf5-cb40c40b0213)",
            "back-off of pod hello_team((id))",
        ),
        ("lstat /proc/49036/ns/ipc: no such file", "lstat /proc/(id)/ns/ipc: no such file"),
        ("(combined from similar events): it failed", "it failed"),
        ("pull of 127.0.0.1:5000/team/agent:1", "pull of 127.0.0.1:5000/team/agent:1"),
    ],
)
def test_addresses_and_ids_are_left_out_and_names_are_not(said: str, told: str) -> None:
    assert steady(said) == told


def test_a_text_that_is_too_long_is_cut() -> None:
    assert steady("x" * (MAX_DETAIL + 1)) == "x" * MAX_DETAIL + "…"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            'Get "http://10.1.0.3:8081/startupz": dial tcp 10.1.0.3:8081: connect: connection refused',
            'Get ":8081/startupz": connect: connection refused',
        ),
        (
            'Get "http://[fd00::3]:8081/livez": read tcp [fd00::1]:46998->[fd00::3]:8081: read: connection reset',
            'Get ":8081/livez": read: connection reset',
        ),
        (
            'Get "http://10.1.0.3:8081/livez": context deadline exceeded (Client.Timeout exceeded while awaiting …)',
            'Get ":8081/livez": no answer in time',
        ),
        (
            'Get "http://10.1.0.3:8081/livez": net/http: request canceled (Client.Timeout exceeded while reading body)',
            'Get ":8081/livez": no answer in time',
        ),
        ("HTTP probe failed with statuscode: 503", "HTTP probe failed with statuscode: 503"),
    ],
)
def test_a_probe_says_the_same_wherever_its_pod_is_and_however_it_times_out(said: str, told: str) -> None:
    assert steady_probe(f"Liveness probe failed: {said}") == f"Liveness probe failed: {told}"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "0/5 nodes are available: 2 node(s) had untolerated taint {a: b}, 3 Insufficient cpu. preemption: 0/5 …",
            "Insufficient cpu; node(s) had untolerated taint {a: b}",
        ),
        (
            "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.",
            "Insufficient cpu; Insufficient memory",
        ),
        ("no nodes available to schedule pods", "no nodes available to schedule pods"),
    ],
)
def test_the_scheduler_is_repeated_without_the_numbers_of_nodes(said: str, told: str) -> None:
    assert steady_schedule(said) == told


def test_a_quota_is_repeated_without_what_is_used_at_the_moment() -> None:
    said = "exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=4, limited: count/configmaps=4"
    assert steady_refusal(said) == ("exceeded quota: q, requested: count/configmaps=1, limited: count/configmaps=4")


def test_a_pod_that_a_node_does_not_let_in_is_told_without_what_is_used_at_the_moment() -> None:
    said = "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000, used: 900, capacity: 1800"
    assert steady_eviction(said) == (
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000, capacity: 1800"
    )


@pytest.mark.parametrize(
    ("refusal", "remedy"),
    [
        ("exceeded quota: small", "Raise the quota"),
        ('User "operator" cannot patch resource "services"', "Give the operator the right"),
        ("ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no", "Have the policy"),
    ],
)
def test_a_refused_object_is_told_with_the_remedy_that_fits(refusal: str, remedy: str) -> None:
    assert refusal_remedy(refusal).startswith(remedy)
