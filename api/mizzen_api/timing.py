"""Times, in seconds, that operator and runtime must agree on: probes and grace period follow from the runtime's."""

import math
from typing import Final

HANDOVER_SECONDS: Final = 3.0
"""How long after SIGTERM a pod goes on being ready. A pod that is deleted is taken out of its Service all the same; but
where it was the only one, it goes on getting the requests as long as it is ready and the one in its place is not."""
PROPAGATION_SECONDS: Final = 5.0
"""How long it then goes on accepting, until its probe has failed and every node and client knows."""
CLOSE_SECONDS: Final = 6.0
"""What is left beside the last request's time: for the last call, its answer, connections to models, and the exit."""
SERVICES_CLOSE_SECONDS: Final = 8.0
"""What the agent's services have for closing, all together: one may hang for 6 s, and the others still have theirs."""
WEDGED_GRACE_SECONDS: Final = 10
"""The grace period of a pod whose event loop stands still, in the place of the one that its requests need: it ends none
of them, and does not notice SIGTERM. If its loop turns again just then, it leaves in order as far as that takes."""
OWN_CODE_SECONDS: Final = 60.0
"""How long own code may take at start, for its import and its factory together. A fault must be told by the runtime,
which knows where the code hangs, before the startup probe restarts the container, which knows nothing."""
STARTUP_SECONDS: Final = 120
"""How long a runtime may take until it serves: own code's time, and as much for a provider's SDK on a busy node."""


def termination_grace_seconds(request_timeout: float) -> int:
    """Give the `terminationGracePeriodSeconds` of an agent's pod: a request that arrives last is still answered.

    A batch does not add to it: its items are requests, and those that have not begun are answered `draining`.

    Args:
        request_timeout: Seconds that a request may take.
    """
    last_request = HANDOVER_SECONDS + PROPAGATION_SECONDS + request_timeout
    return math.ceil(last_request + SERVICES_CLOSE_SECONDS + CLOSE_SECONDS)
