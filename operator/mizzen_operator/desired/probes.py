"""Which port and path a probe uses, and how patient it is."""

from typing import Any

from mizzen_api.names import LIVENESS_PATH, MANAGEMENT_PORT_NAME, READINESS_PATH, STARTUP_PATH
from mizzen_api.timing import STARTUP_SECONDS, WEDGED_GRACE_SECONDS


def build_probes() -> dict[str, dict[str, Any]]:
    """Give the three probes of the runtime's container.

    Starting is asked for every second, since it decides how soon a new pod serves. Liveness restarts a pod after half a
    minute without an answer, and does not wait for requests that will not end any more. Readiness takes a pod out after
    two misses in two seconds, well within the time that a leaving one goes on accepting.
    """
    return {
        "startupProbe": _probe(STARTUP_PATH, period=1, failures=STARTUP_SECONDS),
        "livenessProbe": {
            **_probe(LIVENESS_PATH, period=10, failures=3),
            "terminationGracePeriodSeconds": WEDGED_GRACE_SECONDS,
        },
        "readinessProbe": _probe(READINESS_PATH, period=1, failures=2),
    }


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": MANAGEMENT_PORT_NAME, "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
        "successThreshold": 1,
    }
